"""Runs the examples of docs/examples against the test world, and reads what they print.

`make examples` starts it beside that world. Each example that sends heartbeats has an agent name of its own and runs
three times: before anything changed, after one issue was closed, and once more. Those that read run before the first
heartbeat, beside the others, and when no work is left. Then each runs with a wrong token. At last, those that leave do
so, and those that ask whether to stop are answered go, stop and held.
"""

import json
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import stopping
import timers
import yaml
from support import (
    AGENT, ERROR, EXAMPLES, NOTHING, SECONDS, WORK, WRONG_TOKEN, Failed, install, on_github, outcome, run,
)

# A page of issues has at most 200.
MORE_THAN_A_PAGE = 205

def gate(service, _):
    return outcome(run([EXAMPLES / "gate.sh", "gate"], service))


def plain_python(service, _):
    return outcome(run([sys.executable, "-B", EXAMPLES / "heartbeat.py", "python"], service))


def crontab(service, folder):
    """The line's command, as cron runs it; a substitute for the agent's program prints its input."""
    lines = (EXAMPLES / "crontab").read_text(encoding="utf-8").splitlines()
    [line] = [line for line in lines if line and not line.startswith("#")]
    command = re.fullmatch(r"(?:\S+ ){5}(.+)", line)[1]
    if "%" in command:
        raise Failed(f"cron takes % for the end of the command: {command}")
    install(folder, AGENT)
    exports = "".join(f"export {name}='{value}'\n" for name, value in service.items())
    (folder / ".heartbeat").write_text(exports, encoding="utf-8")
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    return outcome(run(["/bin/sh", "-c", command], {"HOME": str(folder), "PATH": path}))


def claude_code(service, folder):
    """The hook's command, with what Claude Code gives it. It always succeeds; its words are the outcome."""
    settings = json.loads((EXAMPLES / ".claude/settings.json").read_text(encoding="utf-8"))
    [entry] = settings["hooks"]["SessionStart"]
    [hook] = entry["hooks"]
    if (hook["type"], entry["matcher"]) != ("command", "startup|resume"):
        raise Failed(f"another hook: {entry}")
    shutil.copytree(EXAMPLES / ".claude", folder / ".claude", dirs_exist_ok=True)
    shutil.copy(EXAMPLES / "gate.sh", folder)
    event = {"session_id": "1", "transcript_path": "", "cwd": str(folder)}
    event |= {"hook_event_name": "SessionStart", "source": "startup"}
    environment = service | {"CLAUDE_PROJECT_DIR": str(folder), "HEARTBEAT_AGENT": "claude-code"}
    ended = run(["/bin/sh", "-c", hook["command"]], environment, input=json.dumps(event))
    if ended.returncode != 0 or ended.stderr:
        raise Failed(f"the hook ended with {ended.returncode}: {ended.stderr}")
    outcomes = {"GitHub issues that changed": WORK, "No GitHub issue changed": NOTHING, "The heartbeat failed": ERROR}
    [found] = [outcome for words, outcome in outcomes.items() if ended.stdout.startswith(words)]
    return found, ended.stdout, ended.stdout


def github_actions(service, folder):
    """The step that sends the heartbeat, as a runner runs it, and the condition of the step behind it."""
    workflow = yaml.safe_load((EXAMPLES / "github-actions.yml").read_text(encoding="utf-8"))
    [_, heartbeat, agent] = workflow["jobs"]["agent"]["steps"]
    if set(heartbeat["env"]) != set(service) or agent["if"] != "steps.heartbeat.outputs.work == 'true'":
        raise Failed(f"another workflow: {heartbeat['env']}, {agent['if']}")
    (folder / ".github").mkdir(exist_ok=True)
    shutil.copy(EXAMPLES / "gate.sh", folder / ".github")
    script, outputs = folder / "step.sh", folder / "outputs"
    script.write_text(heartbeat["run"], encoding="utf-8")
    outputs.write_text("", encoding="utf-8")
    # GitHub's own command line for a step without `shell`.
    ended = run(["bash", "-e", script], service | {"GITHUB_OUTPUT": str(outputs)}, cwd=folder)
    if ended.returncode != 0:
        return ERROR, ended.stdout, ended.stderr
    found = {"work=true\n": WORK, "work=false\n": NOTHING}[outputs.read_text(encoding="utf-8")]
    printed = run(["bash", "-e", "-c", agent["run"]], {}, cwd=folder).stdout if found == WORK else ""
    return found, printed, ended.stderr


LANGGRAPH = """
import sys
import heartbeat
import langgraph_node

def work(state):
    for change in state["changes"]:
        print(change["change"], change["url"])
    return {}

try:
    end = langgraph_node.build(work).invoke({"agent": "langgraph", "changes": []})
except heartbeat.HeartbeatFailed as failure:
    sys.exit(str(failure))
sys.exit(0 if end["changes"] else 10)
"""


def langgraph(service, _):
    """The graph, run by LangGraph itself."""
    return outcome(run([sys.executable, "-B", "-c", LANGGRAPH], service | {"PYTHONPATH": str(EXAMPLES)}))


def ready_work(service, _):
    return outcome(run([EXAMPLES / "ready-work.sh"], service))


def status_line(service, stale="900"):
    """What the line says; an empty line if the example failed without a word."""
    ended = run([EXAMPLES / "status-line.sh"], service | {"HEARTBEAT_STALE_SECONDS": stale, "TZ": "UTC"})
    if ended.stderr or (ended.returncode, bool(ended.stdout)) not in [(0, True), (1, False)]:
        raise Failed(f"status-line.sh ended with {ended.returncode}: {ended.stdout}{ended.stderr}")
    return ended.stdout.rstrip("\n")


def expect_line(pattern, *arguments):
    """Runs the status line and compares it with a pattern."""
    found = status_line(*arguments)
    if not re.fullmatch(pattern, found):
        raise Failed(f"status-line.sh should say {pattern}, not {found}")
    print(f"{'line':>8}  {found or '(nothing)'}", file=sys.stderr)


class Follower:
    """A running follow.py, whose lines are read one by one. What it says on standard error is among them."""

    def __init__(self, service, file):
        command = [sys.executable, "-B", EXAMPLES / "follow.py", file]
        environment = {"PATH": os.environ["PATH"]} | service
        self.process = subprocess.Popen(
            command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def until(self, expected):
        """Returns the lines before the expected one."""
        before = []
        while (line := self.next()) != expected:
            if line is None:
                raise Failed(f"follow.py ended without saying {expected}: {before}")
            before.append(line)
        print(f"{'follow':>8}  {expected}", file=sys.stderr)
        return before

    def next(self):
        try:
            return self.lines.get(timeout=SECONDS)
        except queue.Empty as silence:
            raise Failed(f"follow.py said nothing for {SECONDS} s") from silence

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


RUNS = [gate, plain_python, crontab, claude_code, github_actions, langgraph, timers.systemd, timers.cronjob]


def expect(expected, example, service, folder, said=""):
    """Runs an example and compares its outcome. What it says must have `said` in it."""
    found, printed, complained = example(service, folder)
    if found != expected or said not in (complained if expected == ERROR else printed):
        raise Failed(f"{example.__name__} should end with {expected} {said}, not with {found}:\n{printed}{complained}")
    print(f"{expected:>8}  {example.__name__}", file=sys.stderr)


def fresh_for(service):
    """Sends a heartbeat of the check's own, and returns how long the pass behind it stays fresh, in seconds."""
    headers = {"Authorization": f"Bearer {service['HEARTBEAT_TOKEN']}"}
    url = f"{service['HEARTBEAT_URL']}/api/agents/check/heartbeat"
    with urllib.request.urlopen(urllib.request.Request(url, method="POST", headers=headers), timeout=SECONDS) as answer:
        return json.load(answer)["nextHeartbeatInSeconds"]


def sync(service):
    """Waits until the last pass serves no longer, and lets a heartbeat run the next one."""
    time.sleep(fresh_for(service) + 0.1)
    fresh_for(service)


def before_the_first_pass(service, folder):
    """Nothing can be said about work that nobody has looked for."""
    expect(ERROR, ready_work, service, folder, "acme/web is not complete: waiting")
    expect_line("heartbeat: not complete yet", service)
    for number in range(MORE_THAN_A_PAGE):
        new = {"title": f"Translate page {number}\tof the manual", "labels": ["status/ready"]}
        on_github("POST", "acme/docs/issues", new)


def while_work_is_there(service, folder):
    """The list has all its pages, and a copy that is too old is not trusted."""
    _, printed, complained = ready_work(service, folder)
    lines = printed.splitlines()
    names = [line.split(" ")[0] for line in lines]
    first = "acme/api#1 Refuse uploads larger than the quota before reading them"
    if lines[0] != first or complained or len(lines) < MORE_THAN_A_PAGE or len(set(names)) != len(names):
        raise Failed(f"ready-work.sh lists {len(lines)} issues, {len(set(names))} different ones: {lines[0]}{complained}")
    if lines[-1] != f"{names[-1]} Translate page {MORE_THAN_A_PAGE - 1} of the manual":
        raise Failed(f"ready-work.sh ends with {lines[-1]}")
    expect(WORK, ready_work, service, folder, first)
    expect_line(r"heartbeat: fresh \d+s ago, 2\d\d open", service)
    expect_line(r"heartbeat: stale since \d\d:\d\d", service, "-1")
    return names


def when_none_is_left(service, folder, names):
    """No work, and not that nobody could look."""
    for name in names:
        repository, number = name.split("#")
        on_github("PATCH", f"{repository}/issues/{number}", {"assignees": ["alpha-bot"]})
    sync(service)
    expect(NOTHING, ready_work, service, folder)
    expect(ERROR, ready_work, service | {"READY_WORK_MAX_AGE": "-1"}, folder, "nothing is newer than")


def following(service, folder):
    """The follower continues where it was, and starts again with the cursor of another table."""
    file = folder / "cursor"
    with Follower(service, file) as follower:
        opened = follower.until("open https://github.com/acme/docs/issues/1")
        if opened[0] != "open https://github.com/acme/api/issues/1":
            raise Failed(f"follow.py begins with {opened}")
        follower.until(f"open https://github.com/acme/docs/issues/{4 + MORE_THAN_A_PAGE}")
        # The local service names an interval of 3 s. The second request is about an unchanged feed and gets 304.
        time.sleep(4)
        began = file.read_text(encoding="utf-8")
        close_an_issue()
        sync(service)
        follower.until("closed https://github.com/acme/api/issues/1")
        end = time.monotonic() + SECONDS
        while file.read_text(encoding="utf-8") == began:
            if time.monotonic() > end:
                raise Failed("follow.py does not store its cursor")
            time.sleep(0.05)
    on_github("PATCH", "acme/web/issues/1", {"title": "The cart forgets its discount"})
    sync(service)
    with Follower(service, file) as follower:
        if before := follower.until("edited https://github.com/acme/web/issues/1"):
            raise Failed(f"follow.py did not continue where it was: {before}")
    cursor = file.read_text(encoding="utf-8")
    other = re.sub(r"^v1\.[^.]+", "v1.1", cursor)
    if other == cursor:
        raise Failed(f"another form of cursor: {cursor}")
    file.write_text(other, encoding="utf-8")
    with Follower(service, file) as follower:
        if said := follower.until("the cursor is of another table: starting again"):
            raise Failed(f"follow.py said {said}")
        follower.until("open https://github.com/acme/web/issues/1")
    wrong = service | {"HEARTBEAT_TOKEN": WRONG_TOKEN}
    with Follower(wrong, file) as follower:
        if not follower.next().startswith("HTTP 401: ") or follower.process.wait(SECONDS) != 1:
            raise Failed("follow.py does not end because of a wrong token")


def close_an_issue():
    """Closes issue 1 of acme/api."""
    on_github("PATCH", "acme/api/issues/1", {"state": "closed"})


def main():
    service = {"HEARTBEAT_URL": os.environ["SERVICE_URL"], "HEARTBEAT_TOKEN": os.environ["AGENT_TOKEN"]}
    documented = {str(file.relative_to(EXAMPLES)) for file in EXAMPLES.rglob("*") if file.is_file()}
    table = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    missing = [file for file in documented if file != "README.md" and f"({file})" not in table]
    if missing:
        raise Failed(f"docs/examples/README.md does not list {missing}")
    with tempfile.TemporaryDirectory() as top:
        before_the_first_pass(service, None)
        folders = {example: Path(top, example.__name__) for example in RUNS}
        for example, folder in folders.items():
            folder.mkdir()
            expect(NOTHING, example, service, folder)
        names = while_work_is_there(service, None)
        following(service, Path(top))
        for example, folder in folders.items():
            expect(WORK, example, service, folder, "closed https://github.com/acme/api/issues/1")
        for example, folder in folders.items():
            expect(NOTHING, example, service, folder)
        when_none_is_left(service, None, [name for name in names if name != "acme/api#1"])
        wrong = service | {"HEARTBEAT_TOKEN": WRONG_TOKEN}
        for example, folder in folders.items():
            expect(ERROR, example, wrong, folder, "401")
        expect(ERROR, ready_work, wrong, None, "401")
        expect_line("", wrong)
        nowhere = service | {"HEARTBEAT_URL": "http://127.0.0.1:9"}
        expect_line("", nowhere)
        timers.leave(service, {example: folders[example] for example in (timers.systemd, timers.cronjob)})
        stopping.check(service, nowhere, Path(top), sync)


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(str(failure))
