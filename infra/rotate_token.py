#!/usr/bin/env python3
"""Gives agents a new token. Their old one stays valid for some hours.

    rotate_token.py SECRET_ID AGENT HOURS

Writes a new version of the secret with the agents' tokens. AGENT is a name, or a prefix of names and a `*`. The new
token is for AGENT alone. Tokens that were for exactly AGENT expire in HOURS, expired tokens are removed, and all others
stay unchanged. Standard output gets the new token alone.
"""

import json
import secrets
import sys
from datetime import UTC, datetime, timedelta

# Only letters and digits, like the token that the deployment generates. The service requires at least 32.
CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
LENGTH = 48


class Unusable(Exception):
    """The secret cannot be extended; the message says why."""


def rotated(secret, agent, new, now, hours):
    """The secret's new text, and the number of tokens that now expire."""
    entries = [entry for entry in entries_of(secret) if not has_expired(entry, now)]
    until = now + timedelta(hours=hours)
    old = [entry for entry in entries if entry["agents"] == [agent] and expires_at(entry) > until]
    for entry in old:
        entry["expiresAt"] = until.strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.dumps({"tokens": [*entries, {"token": new, "agents": [agent]}]}), len(old)


def entries_of(secret):
    secret = secret.strip()
    if not secret.startswith("{"):
        return [{"token": secret, "agents": ["*"]}] if secret else []
    try:
        entries = json.loads(secret)["tokens"]
        # An entry that the service would reject must not be copied unnoticed.
        if all(isinstance(entry["agents"], list) and entry["token"] and expires_at(entry) for entry in entries):
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


def main(secret_id, agent, hours):
    # Imported here, so that tests of the functions above do not need it.
    import boto3

    client = boto3.client("secretsmanager")
    new = "".join(secrets.choice(CHARACTERS) for _ in range(LENGTH))
    now = datetime.now(UTC)
    text, expiring = rotated(client.get_secret_value(SecretId=secret_id)["SecretString"], agent, new, now, float(hours))
    client.put_secret_value(SecretId=secret_id, SecretString=text)
    print(new)
    old = {0: "There was no earlier one", 1: "The earlier one expires"}.get(expiring, f"{expiring} earlier ones expire")
    print(f"Added a token for {agent}. {old}{f' in {hours} h' if expiring else ''}.", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except Unusable as unusable:
        sys.exit(f"No token was added: {unusable}")
