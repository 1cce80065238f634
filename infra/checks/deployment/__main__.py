"""Deploys the template to an emulated AWS on this machine, and uses what was deployed.

    deployment TEMPLATE LAMBDA_FOLDER TEST_WORLD

TEMPLATE is what transform.py makes, LAMBDA_FOLDER has the functions' zips, and TEST_WORLD is the program of
tests/test-world. `make deployment` builds all three.

The emulator's own word counts for nothing here: each resource is read through its own API and held
against the template, and the service is used over HTTP. The functions run with their roles' rights.
"""

import json
import platform
import sys
from pathlib import Path

from emulator import REGION, Broken, Surroundings, claim
from gaps import BEHAVIOUR, PROPERTIES, TYPES, for_the_emulator, still_needed
from journey import GITHUB_TOKEN, REPOSITORIES, Journey
from stack import Inspection, Stack

NAME = "agent-heartbeat"
ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64"}
LOG_LINES = 25


def main(template_path, lambda_folder, test_world):
    claim(sys.platform == "linux", "The functions are programs for Linux, so this check runs there only.")
    template = json.loads(Path(template_path).read_text(encoding="utf-8"))
    with Surroundings(test_world) as surroundings:
        try:
            check(surroundings, template, Path(lambda_folder))
        except Exception:
            tell_logs(surroundings)
            raise
    tell_gaps()


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

    still_needed(deploy, surroundings.client("secretsmanager"))
    stack = deploy(NAME, for_the_emulator(template), parameters)
    claim(stack.status == "CREATE_COMPLETE", f"the stack is {stack.status}:\n{stack.reasons()}")
    inspection = Inspection(surroundings.client, template, stack, NAME, parameters, packages)
    proved(f"{len(list(inspection.resources()))} resources are there as the template says", differences, inspection)

    journey = Journey(surroundings, stack)
    proved("a beat brings GitHub's issues into the table", journey.a_beat_brings_githubs_issues_into_the_table)
    proved("a beat soon after is served by the same pass", journey.a_beat_soon_after_is_served_by_the_same_pass)
    proved("an issue closed on GitHub is told", journey.an_issue_closed_on_github_is_told)
    proved("the service itself refuses, with 401, 404 and 405", journey.the_service_itself_refuses)
    proved("the schedule beats by itself", journey.the_schedule_beats_by_itself)
    event = Path("events/schedule.json").read_bytes()
    proved("the schedule function takes its event", journey.the_schedule_function_takes_its_event, event)
    proved("both functions log to their groups, and no token", journey.both_functions_log_to_their_groups)

    journey.the_emulator_still_does_not_act()
    proved("deleting the stack leaves the table, and nothing else", delete, stack, inspection, journey)


def proved(sentence, step, *arguments):
    """Carries out one step, and tells what it proved."""
    step(*arguments)
    print(f"ok  {sentence}", flush=True)


def upload(client, template, lambda_folder):
    """Puts the functions where the template looks for them. Returns them by their keys."""
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
    claim(left == ["Table"], f"the table alone should be left, and these are: {left}")
    claim(before and journey.items("FLEET") == before, "the table is not as it was")


def tell_logs(surroundings):
    """The last that the emulator and the functions said."""
    logs = {"the emulator": surroundings.log.read_text(errors="replace").splitlines()}
    client = surroundings.client("logs")
    for group in client.describe_log_groups()["logGroups"]:
        events = client.filter_log_events(logGroupName=group["logGroupName"])["events"]
        lines = [event["message"].rstrip() for event in sorted(events, key=lambda event: event["timestamp"])]
        logs[group["logGroupName"]] = lines
    for name, lines in logs.items():
        if lines:
            print(f"\nThe last lines of {name}:", *lines[-LOG_LINES:], sep="\n  ", file=sys.stderr)


def tell_gaps():
    print("\nNot there, because the emulator does not know it (and what looks at it instead):")
    for kind, instead in TYPES.items():
        print(f"  {kind}: {instead}")
    for (kind, key), instead in PROPERTIES.items():
        print(f"  {kind}, {key}: {instead}")
    print("There as the template says, but not seen at work:")
    for what in BEHAVIOUR:
        print(f"  {what}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Broken as broken:
        sys.exit(f"\nNot as it should be: {broken}")
    except KeyboardInterrupt:
        sys.exit(130)
