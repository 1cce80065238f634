"""Asks guard.sh and Claude Code's hook whether to stop, and holds agents as docs/operations.md says."""

import json
import os
import re
import shutil
import sys
from pathlib import Path

from support import EXAMPLES, SECONDS, WRONG_TOKEN, Failed, on_github, read, run

GO, STOP, HELD, MISTAKE = 0, 3, 4, 1

PAGE = "https://github.com/acme/web/issues/4"

# Each of these characters means something to make, to a shell or to JSON.
WHY = """it's a "freeze": $HOME $(shell date) $( ${ `id` \\ # % é"""

# Replaces both programs that invoke a function, and passes what it gets to the function of this world.
INVOKES = """#!/bin/sh
if [ "$1" = lambda ]; then
    [ "$2 $3 $4 $5" = "invoke --remote schedule --data-ascii" ] || exit 9
    exec "$REAL_CARGO_LAMBDA" lambda invoke schedule --invoke-port "$INVOKE_PORT" --data-ascii "$6"
fi
# It reads the address of `make dev` from a file in its folder.
cd "${0%/*}" && exec "$CARGO_TARGET_DIR/debug/test-world" "$@"
"""


class Orders:
    """`make hold` and `make release`, for a deployed service and for the local one."""

    def __init__(self, folder):
        self.program = folder / "invokes"
        self.program.write_text(INVOKES, encoding="utf-8")
        self.program.chmod(0o755)
        port = os.environ["INVOKE_PORT"]
        (folder / ".local").mkdir()
        (folder / ".local/dev.json").write_text(json.dumps({"url": f"http://127.0.0.1:{port}"}), encoding="utf-8")
        # `make` gives its own CARGO_LAMBDA to what it runs.
        self.environment = {name: os.environ[name] for name in ("HOME", "INVOKE_PORT")}
        self.environment["REAL_CARGO_LAMBDA"] = os.environ["CARGO_LAMBDA"]
        self.environment["CARGO_TARGET_DIR"] = str(Path(os.environ["CARGO_TARGET_DIR"]).absolute())

    def __call__(self, *words, deployed=False):
        """Runs a command of make, and returns the holds that it answers, or what it complained about."""
        # Nothing is built or installed here.
        done = ["-o", "binaries", "-o", str(self.program), "-o", tools()]
        where = [f"TEST_WORLD={self.program}"]
        if deployed:
            where = ["FUNCTION=schedule", f"CARGO_LAMBDA={self.program}"]
        ended = run(["make", "--silent", *done, *where, *words], self.environment)
        if ended.returncode != 0:
            return ended.stderr
        return [(hold["pattern"], hold["why"]) for hold in json.loads(ended.stdout)["holds"]]


def tools():
    """The file that says that the operator's tools are installed."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "agent-heartbeat")
    number = run(["sh", "-c", "cksum <infra/requirements.txt"], {}).stdout.split()[0]
    return str(cache / f"requirements-{number}" / "bin" / "installed")


def equal(found, expected, what):
    if found != expected:
        raise Failed(f"{what} should be {expected}, not {found}")
    print(f"{'ok':>8}  {what}", file=sys.stderr)


def orders(service, order):
    """Holds two agents, each with a reason that is passed on unchanged, and refuses half an order."""
    equal(order("hold", "AGENT=guard", f"WHY={WHY}"), [("guard", WHY)], "make hold")
    both = [("guard", WHY), ("claude-*", WHY)]
    equal(order("hold", "AGENT=claude-*", f"WHY={WHY}", deployed=True), both, "make hold FUNCTION=schedule")
    status = [(hold["pattern"], hold["why"]) for hold in read(service, "status")["holds"]]
    equal(status, both, "the holds in /api/status")
    for words, said in [
        (["hold", "AGENT=x"], "Name the agents and the reason"),
        (["hold", "WHY=x"], "Name the agents and the reason"),
        (["release"], "Name the agents as they were held"),
        (["release", "AGENT=x"], "there is no hold on `x`"),
        (["hold", "AGENT=x", f"WHY={'x' * 81}"], "80 bytes"),
    ]:
        complaint = order(*words)
        if said not in complaint:
            raise Failed(f"make {words} should say {said}, not {complaint}")


def release(service, order):
    equal(order("release", "AGENT=claude-*", deployed=True), [("guard", WHY)], "make release FUNCTION=schedule")
    equal(order("release", "AGENT=guard"), [], "make release")


def guard(expected, said, service, *words):
    """Runs guard.sh. `said` is a pattern for all that it says."""
    ended = run([EXAMPLES / "guard.sh", *words], service | {"HEARTBEAT_AGENT": "guard"})
    if ended.returncode != expected or not re.fullmatch(said, ended.stderr.rstrip("\n"), re.DOTALL):
        raise Failed(f"guard.sh should end with {expected} and say {said}, not with {ended.returncode}: {ended.stderr}")
    print(f"{expected:>8}  guard.sh {' '.join(words)}", file=sys.stderr)
    return ended.stdout


def held(pattern):
    """What an agent that this pattern covers says, as a pattern."""
    return rf"held: an operator holds {re.escape(pattern)} since 20\S+Z: {re.escape(WHY)}"


class Hook:
    """Claude Code's hook in a project of its own."""

    def __init__(self, service, folder):
        settings = json.loads((EXAMPLES / ".claude/settings.json").read_text(encoding="utf-8"))
        self.commands = {}
        for event in ("UserPromptSubmit", "PreToolUse"):
            [entry] = settings["hooks"][event]
            [hook] = entry["hooks"]
            if hook["type"] != "command" or entry.get("matcher", "*") != "*" or hook["timeout"] > SECONDS:
                raise Failed(f"another hook: {entry}")
            self.commands[event] = hook["command"]
        shutil.copytree(EXAMPLES / ".claude", folder / ".claude")
        shutil.copy(EXAMPLES / "guard.sh", folder)
        self.folder = folder
        self.environment = service | {"CLAUDE_PROJECT_DIR": str(folder), "HOME": str(folder)}
        self.environment |= {"HEARTBEAT_AGENT": "claude-7", "HEARTBEAT_ISSUE": PAGE, "HEARTBEAT_SECONDS": "0"}

    def __call__(self, event, **environment):
        """What the hook prints as JSON, or None. Claude Code reads it only if the exit status is 0."""
        given = {"session_id": "1", "transcript_path": "", "cwd": str(self.folder), "permission_mode": "default"}
        given |= {"hook_event_name": event}
        if event == "PreToolUse":
            given |= {"tool_name": "Bash", "tool_input": {"command": "cargo test"}, "tool_use_id": "1"}
        else:
            given |= {"prompt": "Go on"}
        command = ["/bin/sh", "-c", self.commands[event]]
        ended = run(command, self.environment | environment, input=json.dumps(given))
        if ended.returncode != 0 or ended.stderr:
            raise Failed(f"the hook ended with {ended.returncode}: {ended.stderr}")
        return json.loads(ended.stdout) if ended.stdout else None

    def expect_stop(self, said):
        """Both events end the session with this reason, and the tool call is denied."""
        for event in self.commands:
            printed = self(event)
            denied = printed.pop("hookSpecificOutput", None)
            reason = printed.pop("stopReason", "")
            first = reason.split("\n")[0]
            expected = None
            if event == "PreToolUse":
                expected = {"hookEventName": event, "permissionDecision": "deny", "permissionDecisionReason": first}
            if printed != {"continue": False} or denied != expected or not re.fullmatch(said, first):
                raise Failed(f"the hook should end the session with {said}, not {printed} {denied} {reason}")
            print(f"{'stop':>8}  {event}", file=sys.stderr)


def go(service, hook, sync):
    # Both are new agents. What was changed a moment ago may still come.
    sync(service)
    while guard(GO, "", service, PAGE, "running the tests") or hook("PreToolUse"):
        pass
    stored = read(service, "agents/guard")
    equal((stored["progress"], [issue["url"] for issue in stored["activeIssues"]]), ("running the tests", [PAGE]),
          "what guard.sh declares")
    for event in hook.commands:
        equal(hook(event), None, f"what the hook prints before {event} while it may go on")
    on_github("PATCH", "acme/docs/issues/2", {"title": "The quick start"})
    sync(service)
    changed = "edited https://github.com/acme/docs/issues/2"
    equal(guard(GO, "", service, PAGE), f"{changed}\n", "what guard.sh reports as changed")
    context = {"hookEventName": "PreToolUse", "additionalContext": f"GitHub issues that changed meanwhile:\n{changed}"}
    equal(hook("PreToolUse"), {"hookSpecificOutput": context}, "what the hook reports as changed")


def unknown(service, nowhere, hook):
    """Whoever gets no answer goes on with a warning, and a hook that asked a moment ago does not ask again."""
    guard(GO, "warning: check https://github.com/acme/none/issues/1: the repository is not tracked.*", service,
          "https://github.com/acme/none/issues/1")
    guard(GO, ".*warning: request: .*80 bytes.*", service, PAGE, "x" * 81)
    failed = "warning: the heartbeat failed, so it is unknown whether to stop; going on"
    lost = f"curl: .*{failed}"
    guard(GO, lost, nowhere, PAGE)
    guard(GO, f"curl: .* 401.*{failed}", service | {"HEARTBEAT_TOKEN": WRONG_TOKEN}, PAGE)
    guard(MISTAKE, "usage: .*", service)
    equal(hook("PreToolUse", HEARTBEAT_SECONDS="3600", **nowhere), None, "what the hook prints without asking again")
    for event in hook.commands:
        printed = hook(event, **nowhere)
        if list(printed) != ["systemMessage"] or not re.fullmatch(lost, printed["systemMessage"], re.DOTALL):
            raise Failed(f"the hook should warn, not print {printed}")


def check(service, nowhere, top, sync):
    """Go, no answer, held, released, and stop."""
    folder = top / "stopping"
    folder.mkdir()
    order, hook = Orders(folder), Hook(service, folder)
    go(service, hook, sync)
    unknown(service, nowhere, hook)
    orders(service, order)
    guard(HELD, held("guard"), service, PAGE)
    guard(HELD, held("guard"), service, "")
    hook.expect_stop(held("claude-*"))
    release(service, order)
    guard(GO, "", service, PAGE)
    on_github("PATCH", "acme/web/issues/4", {"state": "closed", "state_reason": "completed"})
    sync(service)
    closed = f"stop: {PAGE}: the issue was closed as completed"
    guard(STOP, re.escape(closed), service, PAGE)
    guard(STOP, re.escape(closed), service, "")
    hook.expect_stop(re.escape(closed))
