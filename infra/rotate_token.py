#!/usr/bin/env python3
"""Gives agents a new token. Their old one stays valid for some hours.

    rotate_token.py SECRET_ID AGENT HOURS [MAY]

Writes a new version of the secret with the agents' tokens. AGENT is a name, or a prefix of names and a `*`. MAY is
`beat`, `read` or `beat,read`. Without it the new token may do what the earlier one for exactly AGENT may do, or `beat`
if there is none. The new token is for AGENT alone. Tokens for exactly AGENT with the same rights expire in HOURS,
expired tokens are removed, and all others stay unchanged. Standard output gets the new token alone.
"""

import json
import secrets
import sys
from datetime import UTC, datetime, timedelta

# Only letters and digits, like the token that the deployment generates. The service requires at least 32.
CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
LENGTH = 48

# What tokens may do, and what those may do whose entry has no `may`. src/domain/agent_tokens.rs reads the same.
RIGHTS = ("beat", "read")
WITHOUT_MAY = ("beat",)


class Unusable(Exception):
    """The secret cannot be extended; the message says why."""


def rotated(secret, agent, new, now, hours, may=None):
    """The secret's new text, the rights of the new token, and the number of tokens that now expire."""
    entries = [entry for entry in entries_of(secret) if not has_expired(entry, now)]
    earlier = [entry for entry in entries if entry["agents"] == [agent]]
    may = may or rights_to_keep(agent, earlier)
    until = now + timedelta(hours=hours)
    # A viewer's token and the agents' token may both be for `*`, and have different holders.
    old = [entry for entry in earlier if rights(entry) == may and expires_at(entry) > until]
    for entry in old:
        entry["expiresAt"] = until.strftime("%Y-%m-%dT%H:%M:%SZ")
    added = {"token": new, "agents": [agent]}
    # A version of the service from before there were rights refuses entries with `may`.
    if may != WITHOUT_MAY:
        added["may"] = list(may)
    return json.dumps({"tokens": [*entries, added]}), may, len(old)


def rights_to_keep(agent, earlier):
    found = sorted({rights(entry) for entry in earlier})
    if len(found) > 1:
        choices = " or ".join(f"MAY={','.join(may)}" for may in found)
        raise Unusable(f"the tokens for {agent} have different rights: name those to rotate with {choices}")
    return found[0] if found else WITHOUT_MAY


def rights(entry):
    may = entry.get("may")
    return WITHOUT_MAY if may is None else known_rights(may)


def known_rights(words):
    """The rights in their usual order, each once."""
    if not isinstance(words, list) or not words or any(word not in RIGHTS for word in words):
        raise ValueError("may has other words than beat and read, or none")
    return tuple(right for right in RIGHTS if right in words)


def wanted_rights(may):
    """The rights that MAY names; None if it is empty."""
    try:
        return known_rights([word.strip() for word in may.split(",")]) if may else None
    except ValueError:
        raise Unusable(f"MAY must be beat, read or beat,read, but is {may}") from None


def entries_of(secret):
    secret = secret.strip()
    if not secret.startswith("{"):
        # In a list, a token has all rights of a plain one only if its entry says so.
        return [{"token": secret, "agents": ["*"], "may": list(RIGHTS)}] if secret else []
    try:
        entries = json.loads(secret)["tokens"]
        # An entry that the service would reject must not be copied unnoticed.
        if all(
            isinstance(entry["agents"], list) and entry["token"] and rights(entry) and expires_at(entry)
            for entry in entries
        ):
            return entries
    except (KeyError, TypeError, ValueError):
        pass
    raise Unusable("the secret has entries that the service cannot read: correct it by hand first (see docs/credentials.md)")


def expires_at(entry):
    text = entry.get("expiresAt")
    at = datetime.fromisoformat(text) if text else datetime.max.replace(tzinfo=UTC)
    if at.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return at


def has_expired(entry, now):
    return expires_at(entry) <= now


def main(secret_id, agent, hours, may=""):
    wanted = wanted_rights(may)

    # Imported here, so that tests of the functions above do not need it.
    import boto3

    client = boto3.client("secretsmanager")
    new = "".join(secrets.choice(CHARACTERS) for _ in range(LENGTH))
    now = datetime.now(UTC)
    secret = client.get_secret_value(SecretId=secret_id)["SecretString"]
    text, may, expiring = rotated(secret, agent, new, now, float(hours), wanted)
    client.put_secret_value(SecretId=secret_id, SecretString=text)
    print(new)
    old = {0: "There was no earlier one like it", 1: "The earlier one expires"}.get(expiring, f"{expiring} earlier ones expire")
    end = f" in {hours} h" if expiring else ""
    print(f"Added a token for {agent} that may {' and '.join(may)}. {old}{end}.", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except Unusable as unusable:
        sys.exit(f"No token was added: {unusable}")
