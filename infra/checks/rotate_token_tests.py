"""How rotate_token.py changes a secret."""

import json
import sys
import unittest
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from rotate_token import Unusable, rotated

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
NEW = {"token": "new", "agents": ["alpha"]}


def after(secret, agent="alpha", hours=24):
    text, expiring = rotated(secret, agent, "new", NOW, hours)
    return json.loads(text)["tokens"], expiring


def of(*entries):
    return json.dumps({"tokens": list(entries)})


class Rotation(unittest.TestCase):
    def test_plain_token_stays_valid_for_all_agents(self):
        self.assertEqual(after(" plain\n"), ([{"token": "plain", "agents": ["*"]}, NEW], 0))

    def test_plain_token_expires_when_the_token_for_all_agents_is_rotated(self):
        old = {"token": "plain", "agents": ["*"], "expiresAt": "2026-11-23T06:00:00Z"}
        self.assertEqual(after("plain", "*"), ([old, {"token": "new", "agents": ["*"]}], 1))

    def test_only_tokens_for_exactly_these_agents_expire(self):
        others = [{"token": "b", "agents": ["beta"]}, {"token": "ab", "agents": ["alpha", "beta"]}]
        old = {"token": "a", "agents": ["alpha"]}
        expected = [*others, {**old, "expiresAt": "2026-11-22T07:00:00Z"}, NEW]
        self.assertEqual(after(of(*others, old), hours=1), (expected, 1))

    def test_earlier_expiry_stays_and_expired_tokens_are_removed(self):
        soon = {"token": "soon", "agents": ["alpha"], "expiresAt": "2026-11-22T06:00:01Z"}
        gone = {"token": "gone", "agents": ["*"], "expiresAt": "2026-11-22T06:00:00Z"}
        self.assertEqual(after(of(soon, gone)), ([soon, NEW], 0))

    def test_second_rotation_does_not_extend_the_first(self):
        once, _ = rotated("plain", "alpha", "first", NOW, 24)
        entries, expiring = after(once)
        self.assertEqual((entries[1]["expiresAt"], entries[2], expiring), ("2026-11-23T06:00:00Z", NEW, 1))

    def test_empty_secret_gets_its_first_token(self):
        self.assertEqual(after(""), ([NEW], 0))

    def test_unreadable_secret_is_not_changed(self):
        for text in ["{", "{}", '{"tokens": 1}', of({"token": "a"}), of({"agents": ["a"]}), of("a"),
                     of({"token": "a", "agents": ["a"], "expiresAt": "soon"}),
                     of({"token": "a", "agents": ["a"], "expiresAt": "2026-11-23T06:00:00"})]:
            with self.assertRaises(Unusable, msg=text):
                after(text)


if __name__ == "__main__":
    unittest.main()
