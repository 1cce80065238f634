"""What the checks of the examples share."""

import json
import os
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path

EXAMPLES = Path("docs/examples").absolute()

# As tests/test-world/src/lib.rs has it.
GITHUB_TOKEN = "local-github-token-not-a-secret-012345678"

SECONDS = 60

WRONG_TOKEN = "a-token-that-was-never-issued-0123456789"

NOTHING, WORK, ERROR = "nothing", "work", "error"
BY_STATUS = {0: WORK, 10: NOTHING, 1: ERROR}


# A substitute for the agent's program prints its input.
AGENT = {"claude": "cat"}


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


def on_github(method, path, change):
    """Makes a change on the local GitHub."""
    environment = Path(os.environ["ENV_FILE"]).read_text(encoding="utf-8")
    api = re.search(r"^GITHUB_API_URL=['\"]?([^'\"\n]+)", environment, re.MULTILINE)[1]
    headers = {"Authorization": f"Bearer {GITHUB_TOKEN}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{api}/repos/{path}", json.dumps(change).encode(), headers, method=method)
    with urllib.request.urlopen(request, timeout=SECONDS):
        pass


def read(service, path):
    """Reads from the service."""
    headers = {"Authorization": f"Bearer {service['HEARTBEAT_TOKEN']}"}
    request = urllib.request.Request(f"{service['HEARTBEAT_URL']}/api/{path}", headers=headers)
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return json.load(answer)


def install(folder, substitutes=()):
    """Returns a folder for the search path that has gate.sh and substitutes for other programs."""
    bin_folder = folder / "bin"
    bin_folder.mkdir(exist_ok=True)
    shutil.copy(EXAMPLES / "gate.sh", bin_folder)
    for name, script in dict(substitutes).items():
        (bin_folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (bin_folder / name).chmod(0o755)
    return bin_folder
