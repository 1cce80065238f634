"""A client in plain Python: `HEARTBEAT_URL=https://… HEARTBEAT_TOKEN=… python3 heartbeat.py AGENT`.

It prints one line for each changed issue. The exit status is 0 if there is one, 10 if nothing changed, and 1 on an
error.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid

TIMEOUT_SECONDS = 35
ATTEMPTS = 4
# In progress (409), too many heartbeats, and failures that pass. Everything else stays as it is.
RETRIED = {409, 429, 500, 502, 503, 504}


class HeartbeatFailed(Exception):
    """The heartbeat was refused, or nobody answered."""


def heartbeat(agent):
    """Sends a heartbeat and returns the answer. Retries with one key, so that a lost answer loses no change."""
    request = urllib.request.Request(
        f"{os.environ['HEARTBEAT_URL']}/api/agents/{agent}/heartbeat",
        method="POST",
        headers={"Authorization": f"Bearer {os.environ['HEARTBEAT_TOKEN']}", "Idempotency-Key": str(uuid.uuid4())},
    )
    for attempt in range(1, ATTEMPTS + 1):
        wait = 2**attempt
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
                return json.load(response)
        except urllib.error.HTTPError as refused:
            reason = f"HTTP {refused.code}: {refused.read().decode(errors='replace')}"
            if refused.code not in RETRIED:
                raise HeartbeatFailed(reason) from refused
            wait = int(refused.headers.get("Retry-After", wait))
        except OSError as unreachable:
            reason = str(unreachable)
        if attempt < ATTEMPTS:
            time.sleep(wait)
    raise HeartbeatFailed(reason)


def main(agent):
    """Prints what changed, and returns the exit status."""
    try:
        answer = heartbeat(agent)
    except HeartbeatFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    for problem in answer["errors"] + answer["warnings"]:
        print(problem, file=sys.stderr)
    for touched in answer["touched"]:
        print(touched["change"], touched["url"])
    if answer["touched"]:
        return 0
    return 1 if answer["status"] == "error" else 10


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
