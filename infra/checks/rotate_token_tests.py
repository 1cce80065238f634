"""How rotate_token.py changes a secret."""

import json
import sys
import unittest
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from rotate_token import Unusable, rotated, wanted_rights

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
NEW = {"token": "new", "agents": ["alpha"]}


BOTH = ["beat", "read"]


def after(secret, agent="alpha", hours=24, may=""):
    text, _, expiring = rotated(secret, agent, "new", NOW, hours, wanted_rights(may))
    return json.loads(text)["tokens"], expiring


def of(*entries):
    return json.dumps({"tokens": list(entries)})


class Rotation(unittest.TestCase):
    def test_plain_token_stays_valid_for_all_agents_with_all_rights(self):
        self.assertEqual(after(" plain\n"), ([{"token": "plain", "agents": ["*"], "may": BOTH}, NEW], 0))

    def test_plain_token_expires_when_the_token_for_all_agents_is_rotated(self):
        old = {"token": "plain", "agents": ["*"], "may": BOTH, "expiresAt": "2026-11-23T06:00:00Z"}
        self.assertEqual(after("plain", "*"), ([old, {"token": "new", "agents": ["*"], "may": BOTH}], 1))

    def test_new_token_has_the_rights_of_the_earlier_one(self):
        for may in (["read"], BOTH, ["read", "beat", "read"]):
            old = {"token": "a", "agents": ["alpha"], "may": may}
            new = {**NEW, "may": [right for right in BOTH if right in may]}
            self.assertEqual(after(of(old)), ([{**old, "expiresAt": "2026-11-23T06:00:00Z"}, new], 1))
        for without in ({}, {"may": None}, {"may": ["beat"]}):
            old = {"token": "a", "agents": ["alpha"], **without}
            self.assertEqual(after(of(old)), ([{**old, "expiresAt": "2026-11-23T06:00:00Z"}, NEW], 1))

    def test_viewers_token_is_added_beside_the_agents_token(self):
        agents = {"token": "a", "agents": ["*"]}
        viewer = {"token": "new", "agents": ["*"], "may": ["read"]}
        self.assertEqual(after(of(agents), "*", may="read"), ([agents, viewer], 0))
        plain = {"token": "plain", "agents": ["*"], "may": BOTH}
        self.assertEqual(after("plain", "*", may="read"), ([plain, viewer], 0))

    def test_only_tokens_with_the_same_rights_expire(self):
        agents, viewer = {"token": "a", "agents": ["*"]}, {"token": "v", "agents": ["*"], "may": ["read"]}
        until = {"expiresAt": "2026-11-23T06:00:00Z"}
        new = {"token": "new", "agents": ["*"]}
        self.assertEqual(after(of(agents, viewer), "*", may="beat"), ([{**agents, **until}, viewer, new], 1))
        expected = [agents, {**viewer, **until}, {**new, "may": ["read"]}]
        self.assertEqual(after(of(agents, viewer), "*", may="read"), (expected, 1))
        self.assertEqual(after(of(agents, viewer), "*", may="read, beat"), ([agents, viewer, {**new, "may": BOTH}], 0))

    def test_tokens_with_different_rights_are_rotated_by_name_only(self):
        with self.assertRaisesRegex(Unusable, "MAY=beat or MAY=beat,read or MAY=read"):
            after(of(*({"token": right, "agents": ["*"], "may": right} for right in (["read"], BOTH, ["beat"]))), "*")

    def test_unknown_rights_are_refused(self):
        for may in ("write", "Read", "beat,write", "beat;read", ",", " ", "beat,"):
            with self.assertRaisesRegex(Unusable, "MAY must be beat, read or beat,read", msg=may):
                after("plain", may=may)

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
        once, *_ = rotated("plain", "alpha", "first", NOW, 24)
        entries, expiring = after(once)
        self.assertEqual((entries[1]["expiresAt"], entries[2], expiring), ("2026-11-23T06:00:00Z", NEW, 1))

    def test_empty_secret_gets_its_first_token(self):
        self.assertEqual(after(""), ([NEW], 0))

    def test_unreadable_secret_is_not_changed(self):
        for text in ["{", "{}", '{"tokens": 1}', of({"token": "a"}), of({"agents": ["a"]}), of("a"),
                     of({"token": "a", "agents": ["a"], "may": []}), of({"token": "a", "agents": ["a"], "may": "read"}),
                     of({"token": "a", "agents": ["a"], "may": ["write"]}), of({"token": "a", "agents": ["a"], "may": [["read"]]}),
                     of({"token": "a", "agents": ["a"], "expiresAt": "soon"}),
                     of({"token": "a", "agents": ["a"], "expiresAt": "2026-11-23T06:00:00"})]:
            with self.assertRaises(Unusable, msg=text):
                after(text)


if __name__ == "__main__":
    unittest.main()
