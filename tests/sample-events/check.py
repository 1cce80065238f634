"""Runs the `cargo lambda invoke` commands of CONTRIBUTING.md, one for each file of events/, and checks their output.

`make sample-events` starts it beside the local world on a free port, so it adds only `--invoke-port` to a command. The
comment behind a command is the expected answer: an HTTP status, the status of a scheduled heartbeat, or `error`. That
status is `warning`, because one repository fails in the world that `make dev` has. It also invokes both functions with
the test events of Lambda's console, and runs them with `cargo lambda watch`, with and without the environment file of
the local world.
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

# The `hello-world` event of Lambda's console, and other events that people type.
OTHER_EVENTS = ['{"key1":"value1"}', "null", '""', "{}"]

SECONDS = 60


class Failed(Exception):
    """A result is not as expected."""


def outcome(command, port):
    """The answer's HTTP status, the status of a scheduled heartbeat, or `error`; and the whole output."""
    arguments = [*shlex.split(command), "--invoke-port", str(port)]
    run = subprocess.run(arguments, capture_output=True, text=True, timeout=SECONDS, check=False)
    # cargo-lambda prints errors in lines of 80 characters that begin with a bar.
    said = " ".join((run.stdout + run.stderr).replace("│", " ").split())
    if run.returncode != 0:
        return "error", said
    answer = json.loads(run.stdout)
    return str(answer.get("statusCode", answer.get("status"))), said


def expect(expected, command, port):
    """Runs a command and compares its outcome."""
    found, said = outcome(command, port)
    if found != expected:
        raise Failed(f"{command}\n  expected {expected}, got {found}:\n{said}")
    print(f"{expected:>5}  {command}", file=sys.stderr)
    return said


def sample_events(port):
    """Runs every command of CONTRIBUTING.md. Every file of events/ has one."""
    commands = COMMAND.findall(Path("CONTRIBUTING.md").read_text(encoding="utf-8"))
    named = sorted(file for _, file, _ in commands)
    files = sorted(str(file) for file in Path("events").iterdir())
    if named != files:
        raise Failed(f"CONTRIBUTING.md has commands for {named}, and events/ has {files}")
    for command, file, expected in commands:
        said = expect(expected, command, port)
        if expected == "error" and "acme/api: " not in said:
            raise Failed(f"{command} does not name the repository that was not confirmed:\n{said}")


def other_events(port):
    """Events that are not meant for these functions are answered too."""
    for event in OTHER_EVENTS:
        said = expect("400", f"cargo lambda invoke api --data-ascii {shlex.quote(event)}", port)
        if "HTTP request" not in said:
            raise Failed(f"api does not say what is wrong with {event}:\n{said}")
        expect("warning", f"cargo lambda invoke schedule --data-ascii {shlex.quote(event)}", port)
    command = "cargo lambda invoke --data-file events/heartbeat.json"
    said = expect("error", command, port)
    if "cargo lambda invoke schedule" not in said:
        raise Failed(f"{command} does not say which functions there are:\n{said}")


class Watch:
    """A running `cargo lambda watch` with the functions that are built already.

    cargo would build them again, with the features of the root package alone. So a replacement for `cargo run` starts
    the binary.
    """

    def __init__(self, folder, *options):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.pids = folder / "pids"
        self.log = (folder / "log").open("w+", encoding="utf-8")
        cargo = folder / "cargo"
        cargo.write_text(CARGO_REPLACEMENT, encoding="utf-8")
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
        """Waits for the condition. Fails if cargo-lambda ends or takes too long."""
        end = time.monotonic() + SECONDS
        while not condition():
            if self.process.poll() is not None or time.monotonic() > end:
                raise Failed(f"`cargo lambda watch` did not do what it should:\n{self.said()}")
            time.sleep(0.05)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # cargo-lambda does not end the functions that it started.
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

CARGO_REPLACEMENT = """#!/bin/sh
if [ "$1" = run ]; then
    for name; do :; done
    echo $$ >>"$PIDS"
    exec "$CARGO_TARGET_DIR/debug/$name"
fi
exec "$REAL_CARGO" "$@"
"""


def watch_with_the_environment_file():
    """Functions of `cargo lambda watch` use the running local world."""
    with tempfile.TemporaryDirectory() as folder, Watch(Path(folder), "--env-file", os.environ["ENV_FILE"]) as watch:
        expect("200", "cargo lambda invoke api --data-file events/heartbeat.json", watch.port)
        expect("warning", "cargo lambda invoke schedule --data-file events/schedule.json", watch.port)


def watch_without_an_environment():
    """A function without environment names the missing variable and the remedy."""
    with tempfile.TemporaryDirectory() as folder, Watch(Path(folder)) as watch:
        arguments = [*shlex.split("cargo lambda invoke api --data-file events/heartbeat.json --invoke-port"), str(watch.port)]
        with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as caller:
            # If a function does not start, cargo-lambda lets the caller wait without end.
            try:
                watch.until(lambda: "--env-file target/dev.env" in watch.said())
            finally:
                caller.kill()
        for said in ["TABLE_NAME", "`make dev`"]:
            if said not in watch.said():
                raise Failed(f"`cargo lambda watch` alone does not say {said}:\n{watch.said()}")
    print("   ok  cargo lambda watch", file=sys.stderr)


if __name__ == "__main__":
    try:
        sample_events(os.environ["INVOKE_PORT"])
        other_events(os.environ["INVOKE_PORT"])
        watch_with_the_environment_file()
        watch_without_an_environment()
    except Failed as failure:
        sys.exit(str(failure))
