"""What release.py collects, and what it refuses to download."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from samcli.yamlhelper import yaml_parse

sys.path.insert(0, str(Path(__file__).parents[1]))

from release import ARCHITECTURES, CHECKSUMS, TEMPLATE, Unusable, add, download


class Release(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.release, self.deployed = self.folder / "release", self.folder / "deployed"
        built = self.folder / "lambda"
        for architecture in ARCHITECTURES:
            for function in ("api", "schedule"):
                (built / function).mkdir(parents=True, exist_ok=True)
                (built / function / "bootstrap.zip").write_text(f"{function} for {architecture}")
            (built / "bom.json").write_text(json.dumps(architecture))
            add(built, architecture, self.release)

    def download(self, architecture="arm64"):
        download(self.release.as_uri(), architecture, self.deployed)

    def make(self, *arguments):
        # A variable on the outer make's command line, such as ARCH, is in the environment too.
        outer = ("MAKE", "MFLAGS", "ARCH", "RELEASE")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(outer)}
        command = ["make", *arguments, f"RELEASE_URL={self.release.as_uri()}", f"RELEASED={self.deployed}"]
        options = {"cwd": TEMPLATE.parents[1], "env": environment, "text": True, "check": False}
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)

    def left(self):
        return sorted(file.name for file in self.deployed.iterdir())

    def test_a_release_has_all_files_of_both_architectures_and_their_checksums(self):
        files = [
            "api-arm64.zip", "api-x86_64.zip", "sbom-arm64.json", "sbom-x86_64.json", "schedule-arm64.zip",
            "schedule-x86_64.zip", "template-arm64.yaml", "template-x86_64.yaml",
        ]
        self.assertEqual(sorted(file.name for file in self.release.iterdir()), [CHECKSUMS, *files])
        lines = (self.release / CHECKSUMS).read_text().splitlines()
        self.assertEqual([line.split("  ")[1] for line in lines], files)

    def test_a_packaged_template_differs_in_its_code_and_default_architecture_only(self):
        for architecture in ARCHITECTURES:
            made = yaml_parse((self.release / f"template-{architecture}.yaml").read_text())
            expected = yaml_parse(TEMPLATE.read_text())
            for function in ("Api", "Schedule"):
                code = f"{function.lower()}-{architecture}.zip"
                expected["Resources"][f"{function}Function"]["Properties"]["CodeUri"] = code
            expected["Parameters"]["Architecture"]["Default"] = architecture
            self.assertEqual(made, expected)

    def test_a_download_with_the_right_checksums_is_what_was_released(self):
        for architecture in ARCHITECTURES:
            self.download(architecture)
            for name in (f"api-{architecture}.zip", f"schedule-{architecture}.zip", f"template-{architecture}.yaml"):
                self.assertEqual((self.deployed / name).read_bytes(), (self.release / name).read_bytes())

    def test_a_file_with_a_wrong_checksum_is_named_and_nothing_is_left_to_deploy(self):
        (self.release / "schedule-arm64.zip").write_text("something else")
        with self.assertRaisesRegex(Unusable, "checksum mismatch: schedule-arm64.zip from file://.*Nothing was deployed"):
            self.download()
        self.assertEqual(self.left(), [CHECKSUMS])

    def test_a_file_without_a_checksum_is_refused(self):
        lines = (self.release / CHECKSUMS).read_text().splitlines(keepends=True)
        (self.release / CHECKSUMS).write_text("".join(line for line in lines if "api-arm64" not in line))
        with self.assertRaisesRegex(Unusable, "checksum mismatch: api-arm64.zip"):
            self.download()

    def test_a_file_that_is_not_there_is_named(self):
        (self.release / "api-arm64.zip").unlink()
        with self.assertRaisesRegex(Unusable, "download failed: file://.*/api-arm64.zip"):
            self.download()

    def test_make_downloads_a_release_and_fails_on_a_wrong_checksum(self):
        made = self.make("downloaded", "RELEASE=v0.1.0")
        self.assertEqual((made.returncode, self.left()[1:]), (0, [
            "api-arm64.zip", "schedule-arm64.zip", "template-arm64.yaml",
        ]), made.stdout)
        (self.release / "template-arm64.yaml").write_text("something else")
        made = self.make("downloaded", "RELEASE=v0.1.0")
        self.assertNotEqual(made.returncode, 0)
        self.assertIn("release: checksum mismatch: template-arm64.yaml from ", made.stdout)

    def test_make_refuses_what_is_not_the_name_of_a_release(self):
        made = self.make("downloaded", "RELEASE=latest")
        self.assertNotEqual(made.returncode, 0)
        self.assertIn("name a release, such as v0.1.0", made.stdout)

    def test_a_deployment_of_a_release_builds_nothing(self):
        planned = self.make("--dry-run", "deploy", "RELEASE=v0.1.0").stdout
        self.assertIn(f"--template-file {self.deployed}/template-arm64.yaml", planned)
        self.assertNotIn("lambda build", planned)
        self.assertIn("lambda build", self.make("--dry-run", "deploy").stdout)


if __name__ == "__main__":
    unittest.main()
