"""Runs the `cargo lambda invoke` commands of CONTRIBUTING.md, one for each file of events/, and reads what they print.

`make sample-events` starts it beside the local world, on a port of the system's choice; so `--invoke-port` is all that
is added to a command. The comment behind a command says what is answered: an HTTP status, the status of a scheduled
heartbeat, or an error. It also invokes both functions with the test events of Lambda's console, and runs them by
`cargo lambda watch` with the environment file of the local world and without one.
"""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = re.compile(r"^(cargo lambda invoke (?:api|schedule) --data-file (events/\S+)) +# (\w+)", re.MULTILINE)

# What Lambda's console sends by its `hello-world` template, and what people type instead of an event.
OTHER_EVENTS = ['{"key1":"value1"}', "null", '""', "{}"]

SECONDS = 60


class Failed(Exception):
    """What was not as it should be."""


def outcome(command, port):
    """The answer's HTTP status, the status of a scheduled heartbeat, or `error`; and all that was printed."""
    words = [*shlex.split(command), "--invoke-port", str(port)]
    run = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False)
    # An error is printed in lines of 80 characters, with signs before them.
    said = " ".join((run.stdout + run.stderr).replace("│", " ").split())
    if run.returncode != 0:
        return "error", said
    answer = json.loads(run.stdout)
    return str(answer.get("statusCode", answer.get("status"))), said


def expect(expected, command, port):
    """Runs a command and compares its outcome."""
    found, said = outcome(command, port)
    if found != expected:
        raise Failed(f"{command}\n  should end with {expected}, not with {found}:\n{said}")
    print(f"{expected:>5}  {command}", file=sys.stderr)
    return said


def sample_events(port):
    """Every command of CONTRIBUTING.md, and no file of events/ without one."""
    commands = COMMAND.findall(Path("CONTRIBUTING.md").read_text(encoding="utf-8"))
    named = sorted(file for _, file, _ in commands)
    files = sorted(str(file) for file in Path("events").iterdir())
    if named != files:
        raise Failed(f"CONTRIBUTING.md has commands for {named}, and events/ has {files}")
    for command, file, expected in commands:
        said = expect(expected, command, port)
        if expected == "error" and "acme/api: " not in said:
            raise Failed(f"{command} does not say what was not confirmed:\n{said}")


def other_events(port):
    """Events that nobody meant for these functions are answered like any other."""
    for event in OTHER_EVENTS:
        said = expect("400", f"cargo lambda invoke api --data-ascii {shlex.quote(event)}", port)
        if "HTTP request" not in said:
            raise Failed(f"api does not say what is wrong with {event}:\n{said}")
        expect("ok", f"cargo lambda invoke schedule --data-ascii {shlex.quote(event)}", port)
    command = "cargo lambda invoke --data-file events/heartbeat.json"
    said = expect("error", command, port)
    if "cargo lambda invoke schedule" not in said:
        raise Failed(f"{command} does not say which functions there are:\n{said}")


class Watch:
    """A running `cargo lambda watch`. The functions are those that are built already.

    cargo would build them once more, with the features of the root package alone; so a stand-in for `cargo run` starts
    the binary.
    """

    def __init__(self, folder, *options):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.pids = folder / "pids"
        self.log = (folder / "log").open("w+", encoding="utf-8")
        cargo = folder / "cargo"
        cargo.write_text(STAND_IN, encoding="utf-8")
        cargo.chmod(0o755)
        environment = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT_OF_WITH}
        environment |= {"PATH": f"{folder}:{os.environ['PATH']}", "CARGO": str(cargo), "REAL_CARGO": REAL_CARGO}
        environment |= {"PIDS": str(self.pids)}
        self.process = subprocess.Popen(
            ["cargo-lambda", "lambda", "watch", "--ignore-changes", "--invoke-address", "::1",
             "--invoke-port", str(self.port), *options],
            stdout=self.log, stderr=self.log, env=environment, start_new_session=True,
        )
        self.until(self.listens)

    def listens(self):
        with socket.socket(socket.AF_INET6) as probe:
            return probe.connect_ex(("::1", self.port)) == 0

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def until(self, condition):
        """Waits, and gives up when cargo-lambda ends or takes too long."""
        end = time.monotonic() + SECONDS
        while not condition():
            if self.process.poll() is not None or time.monotonic() > end:
                raise Failed(f"`cargo lambda watch` did not do what it should:\n{self.said()}")
            time.sleep(0.05)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # It does not end the functions that it started.
        started = self.pids.read_text(encoding="utf-8").split() if self.pids.exists() else []
        for pid in [self.process.pid, *map(int, started)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        self.log.close()


ENVIRONMENT_OF_WITH = {"SERVICE_URL", "AGENT_TOKEN", "INVOKE_PORT", "ENV_FILE"}

REAL_CARGO = shutil.which("cargo")

STAND_IN = """#!/bin/sh
if [ "$1" = run ]; then
    for name; do :; done
    echo $$ >>"$PIDS"
    exec "$CARGO_TARGET_DIR/debug/$name"
fi
exec "$REAL_CARGO" "$@"
"""


def watch_with_the_environment_file():
    """Functions of one's own, in the local world that runs."""
    with tempfile.TemporaryDirectory() as folder, Watch(Path(folder), "--env-file", os.environ["ENV_FILE"]) as watch:
        expect("200", "cargo lambda invoke api --data-file events/heartbeat.json", watch.port)
        expect("ok", "cargo lambda invoke schedule --data-file events/schedule.json", watch.port)


def watch_without_an_environment():
    """A function says what is missing, and the way out."""
    with tempfile.TemporaryDirectory() as folder, Watch(Path(folder)) as watch:
        words = [*shlex.split("cargo lambda invoke api --data-file events/heartbeat.json --invoke-port"), str(watch.port)]
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as caller:
            # cargo-lambda lets the caller of a function that does not start wait for ever.
            try:
                watch.until(lambda: "--env-file target/dev.env" in watch.said())
            finally:
                caller.kill()
        for said in ["TABLE_NAME", "`make dev`"]:
            if said not in watch.said():
                raise Failed(f"`cargo lambda watch` alone does not say {said}:\n{watch.said()}")
    print("says  cargo lambda watch", file=sys.stderr)


if __name__ == "__main__":
    try:
        sample_events(os.environ["INVOKE_PORT"])
        other_events(os.environ["INVOKE_PORT"])
        watch_with_the_environment_file()
        watch_without_an_environment()
    except Failed as failure:
        sys.exit(str(failure))
