"""What sbom.py lists: what is in the functions, and nothing else."""

import json
import sys
import unittest
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

sys.path.insert(0, str(Path(__file__).parents[1]))

from sbom import PROJECT, bill, tree

TRIPLES = ("aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu")


def crates(triple, *arguments):
    """Name and version of each crate that cargo lists, the service's own among them."""
    words = [line.split() for line in tree(triple, "--prefix", "none", "--format", "{p}", *arguments)]
    return {(name, version.removeprefix("v")) for name, version, *_ in words}


class Bill(unittest.TestCase):
    def each(self):
        for triple in TRIPLES:
            with self.subTest(triple):
                yield triple, bill(triple)

    def test_it_is_cyclonedx(self):
        for _, made in self.each():
            validator = JsonStrictValidator(SchemaVersion.V1_5)
            self.assertIsNone(validator.validate_str(json.dumps(made)))

    def test_it_lists_each_crate_that_cargo_compiles_into_the_functions_once_and_no_other(self):
        for triple, made in self.each():
            listed = [(one["name"], one["version"]) for one in [made["metadata"]["component"], *made["components"]]]
            self.assertEqual(sorted(listed), sorted(crates(triple)))

    def test_it_lists_nothing_that_only_tests_or_builds_need(self):
        for triple, made in self.each():
            more = {name for name, _ in crates(triple, "--edges", "all")}
            self.assertLessEqual({"insta", "local-stack", "cc"}, more)
            self.assertFalse({"insta", "local-stack", "cc"} & {one["name"] for one in made["components"]})

    def test_each_crate_has_its_licence_and_the_checksum_that_cargo_builds_it_by(self):
        for _, made in self.each():
            for one in made["components"]:
                self.assertRegex(one["hashes"][0]["content"], "^[0-9a-f]{64}$", one)
                self.assertRegex(one["licenses"][0]["expression"], "^[^/]+$", one)

    def test_what_depends_on_what_is_whole(self):
        for _, made in self.each():
            references = {one["bom-ref"] for one in [made["metadata"]["component"], *made["components"]]}
            met = {crate for one in made["dependencies"] for crate in one["dependsOn"]}
            self.assertEqual({one["ref"] for one in made["dependencies"]}, references)
            self.assertEqual(met, references - {made["metadata"]["component"]["bom-ref"]})

    def test_it_is_the_same_each_time_and_tells_nothing_of_the_machine(self):
        for triple, made in self.each():
            text = json.dumps(made)
            self.assertEqual(json.dumps(bill(triple)), text)
            for word in (str(PROJECT), "file:", "serialNumber", "timestamp"):
                self.assertNotIn(word, text)


if __name__ == "__main__":
    unittest.main()
