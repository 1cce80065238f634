"""Runs the examples of docs/examples against the test world, and reads what they print.

`make examples` starts it beside that world. Each example has an agent name of its own and runs three times: before
anything changed, after one issue was closed, and once more. Then each runs with a wrong token.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import yaml

EXAMPLES = Path("docs/examples").absolute()

# As tests/test-world/src/lib.rs has it.
GITHUB_TOKEN = "local-github-token-not-a-secret-012345678"

SECONDS = 60

NOTHING, WORK, ERROR = "nothing", "work", "error"
BY_STATUS = {0: WORK, 10: NOTHING, 1: ERROR}


class Failed(Exception):
    """What was not as it should be."""


def run(words, environment, **options):
    """Runs a command: its exit status, what it printed and what it complained about."""
    options |= {"env": {"PATH": os.environ["PATH"]} | environment, "timeout": SECONDS}
    return subprocess.run(words, capture_output=True, text=True, check=False, **options)


def outcome(ended):
    """What an example's exit status means, and what it printed."""
    if ended.returncode not in BY_STATUS:
        raise Failed(f"exit status {ended.returncode}: {ended.stdout}{ended.stderr}")
    return BY_STATUS[ended.returncode], ended.stdout, ended.stderr


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
    (folder / "bin").mkdir(exist_ok=True)
    shutil.copy(EXAMPLES / "gate.sh", folder / "bin")
    substitute = folder / "bin" / "claude"
    substitute.write_text("#!/bin/sh\ncat\n", encoding="utf-8")
    substitute.chmod(0o755)
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


RUNS = [gate, plain_python, crontab, claude_code, github_actions, langgraph]


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


def close_an_issue():
    """Closes issue 1 of acme/api on the local GitHub."""
    environment = Path(os.environ["ENV_FILE"]).read_text(encoding="utf-8")
    api = re.search(r"^GITHUB_API_URL=['\"]?([^'\"\n]+)", environment, re.MULTILINE)[1]
    headers = {"Authorization": f"Bearer {GITHUB_TOKEN}", "Content-Type": "application/json"}
    change = urllib.request.Request(f"{api}/repos/acme/api/issues/1", b'{"state":"closed"}', headers, method="PATCH")
    with urllib.request.urlopen(change, timeout=SECONDS):
        pass


def main():
    service = {"HEARTBEAT_URL": os.environ["SERVICE_URL"], "HEARTBEAT_TOKEN": os.environ["AGENT_TOKEN"]}
    documented = {str(file.relative_to(EXAMPLES)) for file in EXAMPLES.rglob("*") if file.is_file()}
    table = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    missing = [file for file in documented if file != "README.md" and f"({file})" not in table]
    if missing:
        raise Failed(f"docs/examples/README.md does not list {missing}")
    with tempfile.TemporaryDirectory() as top:
        folders = {example: Path(top, example.__name__) for example in RUNS}
        for example, folder in folders.items():
            folder.mkdir()
            expect(NOTHING, example, service, folder)
        close_an_issue()
        # A pass that is fresh serves every heartbeat without a look at GitHub.
        time.sleep(fresh_for(service) + 0.1)
        for example, folder in folders.items():
            expect(WORK, example, service, folder, "closed https://github.com/acme/api/issues/1")
        for example, folder in folders.items():
            expect(NOTHING, example, service, folder)
        wrong = service | {"HEARTBEAT_TOKEN": "a-token-that-was-never-issued-0123456789"}
        for example, folder in folders.items():
            expect(ERROR, example, wrong, folder, "401")


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(str(failure))
