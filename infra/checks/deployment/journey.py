"""Uses a deployed service: requests to its API, and the schedule."""

import json
import time
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

import jsonschema
from botocore.exceptions import ClientError

from emulator import Broken, claim

# As `test_world::GITHUB_TOKEN`.
GITHUB_TOKEN = "local-github-token-not-a-secret-012345678"
REPOSITORIES = ["acme/api", "acme/web", "acme/docs"]

# `rate(1 minute)` counts from the schedule's creation, and the emulator looks every ten seconds.
SCHEDULE_SECONDS = 90

# What the silent agent promises: the shortest interval. The sweep that reports it may begin some seconds later.
SILENT_SECONDS = 30
REPORT_SECONDS = 20

# The form of a report that queues get.
REPORT = Path("docs/agents-message.schema.json")

# Text that a shell or JSON would change if it were not passed on as it is.
WHY = """it's a "freeze": $HOME é"""

# A pass serves heartbeats for one second only, so that among this many some are served by it and some are not.
BEATS = 40


class Journey:
    """One deployed stack, used as agents and operators use it."""

    def __init__(self, surroundings, stack):
        self.surroundings = surroundings
        self.outputs = stack.outputs()
        self.names = stack.names()
        self.host = urlsplit(self.outputs["Url"]).netloc
        self.client = surroundings.client
        self.token = self.secret(self.outputs["AgentTokensSecret"])

    def secret(self, name):
        return self.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"]

    # --- Requests

    def call(self, method, path, token=None, body=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        data = json.dumps(body) if body else None
        status, headers, body = self.surroundings.request(method, path, headers=headers, body=data, host=self.host)
        return status, headers, json.loads(body)

    def beat(self, agent="alpha", declaration=None):
        status, _, body = self.call("POST", f"/api/agents/{agent}/heartbeat", self.token, declaration)
        claim(status == 200, f"a heartbeat got {status}: {body}")
        claim(body["status"] == "ok" and body["agentName"] == agent, f"a heartbeat got {body}")
        return body

    def refused(self, status, method, path, token=None):
        """A request that the service refuses, and not the gateway."""
        answered, headers, body = self.call(method, path, token)
        claim(answered == status, f"{method} {path} is answered with {answered} and not {status}: {body}")
        problem = headers["Content-Type"] == "application/problem+json" and body["status"] == status
        claim(problem, f"{method} {path} is not refused by the service: {headers['Content-Type']} {body}")
        return headers

    def github(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {GITHUB_TOKEN}", "Accept": "application/vnd.github+json"}
        data = json.dumps(body).encode() if body else None
        request = Request(self.surroundings.github_url + path, data, headers, method=method)
        with build_opener(ProxyHandler({})).open(request, timeout=10) as answer:
            return json.load(answer)

    # --- The table

    def items(self, partition):
        query = {":pk": {"S": partition}}
        table = self.outputs["TableName"]
        return self.client("dynamodb").query(
            TableName=table, KeyConditionExpression="pk = :pk", ExpressionAttributeValues=query, ConsistentRead=True
        )["Items"]

    def runs(self, agent):
        return [item for item in self.items(f"AGENT#{agent}") if item["sk"]["S"].startswith("RUN#")]

    # --- What it does

    def heartbeat_imports_githubs_issues(self):
        beat = self.beat()
        claim(not beat["coalesced"] and beat["freshAt"], f"the first beat ran no pass: {beat}")
        open_on_github = {
            issue["html_url"]
            for repository in REPOSITORIES
            for issue in self.github("GET", f"/repos/{repository}/issues?state=open&per_page=100")
            if "pull_request" not in issue
        }
        kept = self.open_issues()
        claim(kept and kept == open_on_github, f"the table has {kept}, GitHub has {open_on_github}")
        runs = {run["sk"]["S"]: run for run in self.runs("alpha")}
        run = runs.get(f"RUN#{beat['runId']}", {})
        recorded = {key: run[key].get("S") for key in ("type", "status", "agentName") if key in run}
        claim(
            recorded == {"type": "heartbeat", "status": "ok", "agentName": "alpha"},
            f"the AgentRun of {beat['runId']} is {run}",
        )
        claim("alpha" in [agent["sk"]["S"] for agent in self.items("AGENTS")], "the agent alpha is not kept")

    def open_issues(self):
        repositories = [item["sk"]["S"] for item in self.items("FLEET") if item["sk"]["S"].startswith("REPO#")]
        claim(len(repositories) == len(REPOSITORIES), f"the table tracks {repositories}")
        issues = [item for repository in repositories for item in self.items(repository)]
        return {issue["url"]["S"] for issue in issues if "openNumber" in issue}

    def second_heartbeat_is_served_by_the_same_pass(self):
        claim(any(self.beat()["coalesced"] for _ in range(BEATS)), f"each of {BEATS} heartbeats ran its own pass")

    def issue_closed_on_github_is_reported(self):
        closed = self.github("PATCH", "/repos/acme/api/issues/1", {"state": "closed"})["html_url"]
        for _ in range(BEATS):
            changes = self.beat()["touched"]
            if changes:
                break
        claim(changes == [{"url": closed, "change": "closed"}], f"{closed} was closed, but the changes are: {changes}")
        claim(closed not in self.open_issues(), f"{closed} is still kept as open")

    def the_service_itself_refuses(self):
        refused = self.refused(401, "POST", "/api/agents/alpha/heartbeat")
        claim("Bearer" in refused.get("WWW-Authenticate", ""), "401 does not say how to authenticate")
        self.refused(401, "POST", "/api/agents/alpha/heartbeat", self.token[::-1])
        self.refused(404, "GET", "/somewhere/else", self.token)
        refused = self.refused(405, "GET", "/api/agents/alpha/heartbeat", self.token)
        claim(refused.get("Allow") == "POST", f"405 allows {refused.get('Allow')}")
        status, _, body = self.call("GET", "/api/health")
        claim((status, body["status"]) == (200, "ok"), f"the health check is answered with {status}: {body}")

    def board_is_there_and_its_session_reads(self):
        path = urlsplit(self.outputs["BoardUrl"]).path
        status, headers, page = self.surroundings.request("GET", path, host=self.host)
        is_page = headers["Content-Type"].startswith("text/html") and b"board.js" in page
        claim(status == 200 and is_page, f"the board is answered with {status}: {page[:200]}")
        browser = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"}
        given = json.dumps({"token": self.token})
        status, headers, body = self.surroundings.request("POST", "/api/session", browser, given, self.host)
        cookie = (headers["Set-Cookie"] or "").partition(";")[0]
        claim(status == 200 and cookie.startswith("__Host-board="), f"signing in is answered with {status}: {body}")
        for headers, expected in [({**browser, "Cookie": cookie}, 200), ({"Cookie": cookie}, 401)]:
            status, _, body = self.surroundings.request("GET", "/api/status", headers, host=self.host)
            claim(status == expected, f"a read with the cookie is answered with {status} and not {expected}: {body}")

    def schedule_sends_a_heartbeat(self):
        end = time.monotonic() + SCHEDULE_SECONDS
        while not self.scheduled():
            claim(time.monotonic() < end, f"the schedule sent no heartbeat within {SCHEDULE_SECONDS} s")
            time.sleep(0.5)

    def scheduled(self):
        # A heartbeat that runs a pass is first recorded as running.
        ended = [run for run in self.runs("scheduler") if run["status"]["S"] != "running"]
        wrong = [run for run in ended if (run["type"]["S"], run["status"]["S"]) != ("scheduled", "ok")]
        claim(not wrong, f"a scheduled beat is recorded as {wrong}")
        return len(ended)

    def the_schedule_function_takes_its_event(self, event):
        before = self.scheduled()
        payload = self.invoke_schedule(event)
        claim(self.scheduled() > before, f"the schedule function recorded no beat: {payload}")

    def invoke_schedule(self, event):
        answer = self.client("lambda").invoke(FunctionName=self.outputs["ScheduleFunctionName"], Payload=event)
        payload = answer["Payload"].read().decode()
        claim("FunctionError" not in answer, f"the schedule function failed: {payload}")
        return payload

    def operator_holds_and_releases_an_agent(self):
        """The schedule function takes the orders of `make hold` and `make release`, and heartbeats show them."""
        holds = self.order({"hold": "alpha", "why": WHY})
        claim([(hold["pattern"], hold["why"]) for hold in holds] == [("alpha", WHY)], f"the holds are {holds}")
        held = self.beat()["hold"]
        claim(held == holds[0], f"a heartbeat under a hold shows {held} and not {holds[0]}")
        claim(self.beat("beta")["hold"] is None, "the hold covers another agent, too")
        holds = self.order({"release": "alpha"})
        claim(holds == [], f"after the release the holds are {holds}")
        held = self.beat()["hold"]
        claim(held is None, f"a heartbeat after the release shows {held}")

    def order(self, order):
        return json.loads(self.invoke_schedule(json.dumps(order)))["holds"]

    def silent_agent_is_reported(self, event):
        """The queue is subscribed as docs/operations.md says. Nobody else sends heartbeats, so the API is tried too."""
        topic = self.outputs["AgentsTopicArn"]
        queue = self.subscribed_queue(topic)
        # Agents are reported only after the schedule has listened for their interval. From here on it has begun to.
        self.invoke_schedule(event)
        beat = self.beat("silent", {"intervalSeconds": SILENT_SECONDS, "graceSeconds": 0})
        promise = {key: (beat.get("watch") or {}).get(key) for key in ("intervalSeconds", "graceSeconds")}
        claim(promise == {"intervalSeconds": SILENT_SECONDS, "graceSeconds": 0}, f"the promise is not kept: {beat}")
        time.sleep(SILENT_SECONDS + 1)
        self.invoke_schedule(event)
        received = self.received(queue)
        claim(received, f"the agent `silent` is silent, but no report arrived in the queue within {REPORT_SECONDS} s")
        claim(len(received) == 1, f"one report should be in the queue, but there are: {received}")
        [notification] = received
        claim(notification["TopicArn"] == topic, f"the report comes from another topic: {notification}")
        report = json.loads(notification["Message"])
        schema = strict(json.loads(REPORT.read_text(encoding="utf-8")))
        mistakes = [mistake.message for mistake in jsonschema.Draft202012Validator(schema).iter_errors(report)]
        claim(not mistakes, f"the report is not as {REPORT} says: {mistakes}: {report}")
        down = [(agent["agent"], agent["intervalSeconds"], agent["graceSeconds"]) for agent in report["down"]]
        claim(down == [("silent", SILENT_SECONDS, 0)], f"the report should name the agent `silent` as down: {report}")

    def subscribed_queue(self, topic):
        sqs = self.client("sqs")
        queue = sqs.create_queue(QueueName="reports")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        statement = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
        statement |= {"Resource": arn, "Condition": {"ArnEquals": {"aws:SourceArn": topic}}}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
        self.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        return queue

    def received(self, queue):
        """The notifications in the queue, once there are any."""
        answer = self.client("sqs").receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=REPORT_SECONDS
        )
        return [json.loads(message["Body"]) for message in answer.get("Messages", [])]

    def both_functions_log_to_their_groups(self):
        for output in ("ApiLogGroup", "ScheduleLogGroup"):
            lines = self.log(self.outputs[output])
            secrets = (self.token, GITHUB_TOKEN)
            claim(any('"level":"INFO"' in line for line in lines), f"{output} has no line of the function's: {lines}")
            claim(not any(secret in line for line in lines for secret in secrets), f"{output} holds a token")

    def log(self, group):
        events = self.client("logs").filter_log_events(logGroupName=group)["events"]
        return [event["message"] for event in sorted(events, key=lambda event: event["timestamp"])]

    def the_emulator_still_does_not_act(self):
        """On what gaps.py says so of, as far as that shows."""
        streams = self.client("logs").describe_log_streams(logGroupName=self.names["AccessLogs"])["logStreams"]
        claim(not streams, "the emulator writes access logs now: remove them from gaps.py and check them here")
        message = {"Message": '{"email":"no form for queues"}', "MessageStructure": "json", "Subject": "x" * 101}
        try:
            self.client("sns").publish(TopicArn=self.outputs["AgentsTopicArn"], **message)
        except ClientError as error:
            raise Broken(f"the emulator checks messages now: remove that from gaps.py: {error}") from error
        permission = {"FunctionName": self.names["ApiFunction"], "StatementId": self.names["ApiMayInvoke"]}
        self.client("lambda").remove_permission(**permission)
        status, _, _ = self.call("GET", "/api/health")
        claim(status == 200, "the emulator requires lambda:permission now: remove it from gaps.py")


def strict(schema):
    """The schema without room for members that it does not describe."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {"additionalProperties": False} if schema.get("type") == "object" and "properties" in schema else {}
    return {key: strict(part) for key, part in schema.items()} | closed
