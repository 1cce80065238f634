"""Deploys the template to an emulated AWS on this machine, and uses the deployed service.

    deployment TEMPLATE LAMBDA_FOLDER TEST_WORLD

TEMPLATE is the output of transform.py, LAMBDA_FOLDER has the functions' zips, and TEST_WORLD is the program of
tests/test-world. `make deployment` builds all three.

The emulator's own report is not trusted: each resource is read through its own API and compared with the template, and
the service is used over HTTP. The functions run with their roles' rights.
"""

import json
import platform
import sys
from pathlib import Path

from emulator import REGION, Broken, Surroundings, claim
from gaps import BEHAVIOUR, PROPERTIES, TYPES, close_topics, for_the_emulator, still_needed, with_api_by_path
from journey import GITHUB_TOKEN, REPOSITORIES, Journey
from stack import Inspection, Stack

NAME = "agent-heartbeat"
ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64"}
LOG_LINES = 25


def main(template_path, lambda_folder, test_world):
    claim(sys.platform == "linux", "This check runs on Linux only, because the functions are Linux programs.")
    template = json.loads(Path(template_path).read_text(encoding="utf-8"))
    with Surroundings(test_world) as surroundings:
        try:
            check(surroundings, template, Path(lambda_folder))
        except Exception:
            print_logs(surroundings)
            raise
    print_gaps()


def check(surroundings, template, lambda_folder):
    packages = upload(surroundings.client("s3"), template, lambda_folder)
    parameters = {
        "Repositories": " ".join(REPOSITORIES),
        "GitHubCredentials": GITHUB_TOKEN,
        "GitHubApiUrl": surroundings.github_url,
        "ScheduleMinutes": "1",
        "FreshnessSeconds": "1",
        "BeatsPerMinute": "6000",
        "AlarmEmail": "operators@example.com",
        "Architecture": ARCHITECTURES[platform.machine()],
    }

    def deploy(name, template, parameters=None):
        return Stack(surroundings.client, name).create(template, parameters or {})

    still_needed(deploy, surroundings.client)
    template = with_api_by_path(template, surroundings.url)
    stack = deploy(NAME, for_the_emulator(template), parameters)
    claim(stack.status == "CREATE_COMPLETE", f"the stack is {stack.status}:\n{stack.reasons()}")
    inspection = Inspection(surroundings.client, template, stack, NAME, parameters, packages)
    proved(f"{len(list(inspection.resources()))} resources are deployed as the template says", differences, inspection)

    close_topics(surroundings.client("sns"))
    journey = Journey(surroundings, stack)
    proved("a heartbeat imports GitHub's issues into the table", journey.heartbeat_imports_githubs_issues)
    proved("a second heartbeat is served by the same pass", journey.second_heartbeat_is_served_by_the_same_pass)
    proved("an issue closed on GitHub is reported", journey.issue_closed_on_github_is_reported)
    proved("the service itself refuses, with 401, 404 and 405", journey.the_service_itself_refuses)
    proved("the board's address has the page, and its session reads", journey.board_is_there_and_its_session_reads)
    proved("the schedule sends a heartbeat", journey.schedule_sends_a_heartbeat)
    event = Path("events/schedule.json").read_bytes()
    proved("the schedule function takes its event", journey.the_schedule_function_takes_its_event, event)
    proved("an operator holds an agent and releases it", journey.operator_holds_and_releases_an_agent)
    proved("a silent agent is reported to a queue", journey.silent_agent_is_reported, event)
    proved("both functions log to their groups, and log no token", journey.both_functions_log_to_their_groups)

    journey.the_emulator_still_does_not_act()
    proved("deleting the stack keeps the table and nothing else", delete, stack, inspection, journey)


def proved(sentence, step, *arguments):
    """Runs one step and prints what it proved."""
    step(*arguments)
    print(f"ok  {sentence}", flush=True)


def upload(client, template, lambda_folder):
    """Uploads the functions to the buckets and keys that the template names. Returns them by key."""
    resources = template["Resources"].values()
    codes = [one["Properties"]["Code"] for one in resources if one["Type"] == "AWS::Lambda::Function"]
    for bucket in {code["S3Bucket"] for code in codes}:
        client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    packages = {code["S3Key"]: Path(lambda_folder, code["S3Key"]).read_bytes() for code in codes}
    for code in codes:
        client.put_object(Bucket=code["S3Bucket"], Key=code["S3Key"], Body=packages[code["S3Key"]])
    return packages


def differences(inspection):
    found = list(inspection.differences())
    claim(not found, "\n".join(found))


def delete(stack, inspection, journey):
    before = journey.items("FLEET")
    stack.delete()
    claim(stack.status == "DELETE_COMPLETE", f"the deleted stack is {stack.status}:\n{stack.reasons()}")
    left = [name for name, _ in inspection.resources() if inspection.is_there(name)]
    claim(left == ["Table"], f"only the table should be left, but there is: {left}")
    claim(before and journey.items("FLEET") == before, "the table changed when the stack was deleted")


def print_logs(surroundings):
    """Prints the last lines that the emulator and the functions logged."""
    logs = {"the emulator": surroundings.log.read_text(errors="replace").splitlines()}
    client = surroundings.client("logs")
    for group in client.describe_log_groups()["logGroups"]:
        events = client.filter_log_events(logGroupName=group["logGroupName"])["events"]
        lines = [event["message"].rstrip() for event in sorted(events, key=lambda event: event["timestamp"])]
        logs[group["logGroupName"]] = lines
    for name, lines in logs.items():
        if lines:
            print(f"\nThe last lines of {name}:", *lines[-LOG_LINES:], sep="\n  ", file=sys.stderr)


def print_gaps():
    print("\nNot deployed, because the emulator does not support it (and what checks it instead):")
    for kind, instead in TYPES.items():
        print(f"  {kind}: {instead}")
    for (kind, key), instead in PROPERTIES.items():
        print(f"  {kind}, {key}: {instead}")
    print("Deployed as the template says, but its behaviour is not tested:")
    for what in BEHAVIOUR:
        print(f"  {what}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Broken as broken:
        sys.exit(f"\nThe check failed: {broken}")
    except KeyboardInterrupt:
        sys.exit(130)
