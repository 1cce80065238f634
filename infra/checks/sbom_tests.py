"""sbom.py lists what is in the functions, and nothing else."""

import json
import subprocess
import sys
import unittest
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

sys.path.insert(0, str(Path(__file__).parents[1]))

from sbom import PROJECT, bill

ONLY_ELSEWHERE = {"cc", "insta", "test-world"}


class Bill:
    def setUp(self):
        self.made = bill(self.triple)
        self.service = self.made["metadata"]["component"]
        self.all = [self.service, *self.made["components"]]

    def crates(self, edges, *arguments):
        """Name and version of each crate that cargo lists, the service's own among them."""
        command = ["cargo", "tree", "--locked", "--package", "agent-heartbeat", "--target", self.triple]
        command += ["--edges", edges, "--prefix", "none", "--format", "{p}", *arguments]
        listed = subprocess.run(command, cwd=PROJECT, check=True, text=True, stdout=subprocess.PIPE).stdout
        return {tuple(line.replace(" v", " ", 1).split()[:2]) for line in listed.splitlines()}

    def test_is_valid_cyclonedx(self):
        self.assertIsNone(JsonStrictValidator(SchemaVersion.V1_5).validate_str(json.dumps(self.made)))

    def test_lists_each_crate_of_the_functions_once_and_no_other(self):
        listed = sorted((one["name"], one["version"]) for one in self.all)
        self.assertEqual(listed, sorted(self.crates("normal")))

    def test_lists_nothing_that_only_tests_or_builds_need(self):
        self.assertLessEqual(ONLY_ELSEWHERE, {name for name, _ in self.crates("all")})
        self.assertFalse(ONLY_ELSEWHERE & {one["name"] for one in self.all})

    def test_each_crate_has_its_licence_and_cargos_checksum(self):
        for one in self.made["components"]:
            self.assertRegex(one["hashes"][0]["content"], "^[0-9a-f]{64}$", one)
            self.assertRegex(one["licenses"][0]["expression"], "^[^/]+$", one)

    def test_dependencies_are_complete(self):
        references = {one["bom-ref"] for one in self.all}
        met = {crate for one in self.made["dependencies"] for crate in one["dependsOn"]}
        self.assertEqual({one["ref"] for one in self.made["dependencies"]}, references)
        self.assertEqual(met, references - {self.service["bom-ref"]})
        [direct] = (one["dependsOn"] for one in self.made["dependencies"] if one["ref"] == self.service["bom-ref"])
        self.assertEqual(len(direct), len(self.crates("normal", "--depth", "1")) - 1)

    def test_is_reproducible_and_says_nothing_about_the_machine(self):
        text = json.dumps(self.made)
        self.assertEqual(json.dumps(bill(self.triple)), text)
        for word in (str(PROJECT), "file:", "serialNumber", "timestamp"):
            self.assertNotIn(word, text)


class Arm(Bill, unittest.TestCase):
    triple = "aarch64-unknown-linux-gnu"


class Intel(Bill, unittest.TestCase):
    triple = "x86_64-unknown-linux-gnu"


if __name__ == "__main__":
    unittest.main()
