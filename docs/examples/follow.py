"""Follows all changes: `HEARTBEAT_URL=https://… HEARTBEAT_TOKEN=… python3 follow.py CURSOR_FILE`.

It prints each open issue once, then one line for each change, until it is stopped. The file keeps the cursor: started
again, it continues where it was. The token needs the right `read`. A cursor is stored after its changes are printed, so
a crash repeats changes and loses none.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

TIMEOUT_SECONDS = 35
LONGEST_WAIT_SECONDS = 60
# Too many reads, and failures that pass. Everything else stays as it is.
RETRIED = {429, 500, 502, 503, 504}
NOT_MODIFIED, GONE = 304, 410


class Refused(Exception):
    """A request was refused, and a repetition would be too."""


def get(path, tag="", **query):
    """Returns an answer's status, headers and body, which is None for a 304 and a 410. Retries until there is one."""
    request = urllib.request.Request(
        f"{os.environ['HEARTBEAT_URL']}{path}?{urllib.parse.urlencode(query)}",
        headers={"Authorization": f"Bearer {os.environ['HEARTBEAT_TOKEN']}", "If-None-Match": tag},
    )
    backoff = 1
    while True:
        wait = backoff
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
                return response.status, response.headers, json.load(response)
        except urllib.error.HTTPError as refused:
            if refused.code in (NOT_MODIFIED, GONE):
                return refused.code, refused.headers, None
            reason = f"HTTP {refused.code}: {refused.read().decode(errors='replace')}"
            if refused.code not in RETRIED:
                raise Refused(reason) from refused
            wait = int(refused.headers.get("Retry-After", wait))
        except (OSError, ValueError) as unreachable:
            reason = str(unreachable)
        print(f"{reason}; retrying in {wait} s", file=sys.stderr)
        time.sleep(wait)
        backoff = min(2 * backoff, LONGEST_WAIT_SECONDS)


def wait_for_more(headers):
    """Waits until there may be new changes."""
    time.sleep(int(headers["X-Poll-Interval"]))


def start():
    """Takes a cursor, then lists the open issues: what changes meanwhile follows after the cursor."""
    while True:
        _, headers, page = get("/api/changes")
        if page["nextCursor"]:
            break
        # The service has not read GitHub yet.
        wait_for_more(headers)
    position = {}
    while True:
        _, _, issues = get("/api/issues", limit=200, **position)
        for issue in issues["issues"]:
            print("open", issue["url"], flush=True)
        if not issues["nextCursor"]:
            break
        position = {"cursor": issues["nextCursor"]}
    for gap in issues["incomplete"]:
        print(f"{gap['repository']} is not complete: {gap['state']}", file=sys.stderr)
    return page["nextCursor"]


def store(file, cursor):
    """Replaces the file at once, so that it always holds a whole cursor."""
    new = file.with_name(f"{file.name}.new")
    new.write_text(cursor, encoding="utf-8")
    new.replace(file)


def follow(file):
    """Prints all changes after the cursor in the file."""
    if not file.exists():
        store(file, start())
    cursor, tag = file.read_text(encoding="utf-8"), ""
    while True:
        status, headers, page = get("/api/changes", tag, after=cursor, limit=200)
        if status == GONE:
            print("the cursor is of another table: starting again", file=sys.stderr)
            cursor, tag = start(), ""
            store(file, cursor)
            continue
        if status != NOT_MODIFIED:
            for change in page["changes"]:
                moved = ["->", change["movedTo"]] if change["movedTo"] else []
                print(change["change"], change["url"], *moved, flush=True)
            # A tag belongs to the request with this cursor.
            tag = headers["ETag"] if page["nextCursor"] == cursor else ""
            cursor = page["nextCursor"]
            store(file, cursor)
            if page["hasMore"]:
                continue
        wait_for_more(headers)


if __name__ == "__main__":
    try:
        follow(Path(sys.argv[1]))
    except Refused as refusal:
        sys.exit(str(refusal))
    except KeyboardInterrupt:
        pass
