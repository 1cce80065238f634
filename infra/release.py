"""Collects the files of a release, and downloads them for `make deploy RELEASE=…`.

    release.py add LAMBDA_FOLDER ARCHITECTURE FOLDER    puts what `make build` made, and its template, into FOLDER
    release.py download URL ARCHITECTURE FOLDER         gets the same files below URL and checks them

ARCHITECTURE is arm64 or x86_64. Each architecture has a template of its own, whose functions are the zips beside it, so
that `sam deploy` needs nothing else. SHA256SUMS lists all files, as `sha256sum` writes it.

The checksums show that a download is complete, not who built it: they come from the same place as the files. Build
provenance shows that: `gh attestation verify FILE --repo OWNER/NAME`.
"""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

ARCHITECTURES = ("arm64", "x86_64")
FUNCTIONS = ("api", "schedule")
CHECKSUMS = "SHA256SUMS"
TEMPLATE = Path(__file__).parent / "template.yaml"
SECONDS = 300

# As `sha256sum` writes it.
LINE = re.compile(r"^([0-9a-f]{64})  (\S+)$", re.MULTILINE)


class Unusable(Exception):
    """The release cannot be used; the message says why."""


def zip_name(function, architecture):
    return f"{function}-{architecture}.zip"


def template_name(architecture):
    return f"template-{architecture}.yaml"


def sbom_name(architecture):
    return f"sbom-{architecture}.json"


def packaged(template, architecture):
    """The template with the zips beside it as its functions, and with their architecture as the default."""
    for function in FUNCTIONS:
        path = f"CodeUri: ../target/lambda/{function}/bootstrap.zip\n"
        template = replaced(template, re.escape(path), f"CodeUri: {zip_name(function, architecture)}\n")
    parameter = r"(?<=\n  Architecture:\n    Type: String\n    Default: )\w+"
    return replaced(template, parameter, architecture)


def replaced(text, pattern, by):
    text, times = re.subn(pattern, by, text)
    if times != 1:
        raise Unusable(f"{TEMPLATE.name} has `{pattern}` {times} times instead of once")
    return text


def add(lambda_folder, architecture, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for function in FUNCTIONS:
        shutil.copyfile(lambda_folder / function / "bootstrap.zip", folder / zip_name(function, architecture))
    shutil.copyfile(lambda_folder / "bom.json", folder / sbom_name(architecture))
    template = packaged(TEMPLATE.read_text(encoding="utf-8"), architecture)
    (folder / template_name(architecture)).write_text(template, encoding="utf-8")
    files = sorted(file for file in folder.iterdir() if file.name != CHECKSUMS)
    lines = [f"{checksum(file)}  {file.name}\n" for file in files]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


def checksum(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


def download(url, architecture, folder):
    """Leaves no file in the folder that has another checksum than the release's."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [*(zip_name(function, architecture) for function in FUNCTIONS), template_name(architecture)]
    for name in [CHECKSUMS, *names]:
        fetch(f"{url}/{name}", folder / name)
    expected = LINE.findall((folder / CHECKSUMS).read_text(encoding="utf-8"))
    wrong = [name for name in names if (checksum(folder / name), name) not in expected]
    if wrong:
        for name in names:
            (folder / name).unlink()
        raise Unusable(
            f"checksum mismatch: {', '.join(wrong)} from {url} differ from {CHECKSUMS}. Nothing was deployed and the files"
            " were deleted. Try again; if it stays so, report it as SECURITY.md says"
        )


def fetch(url, file):
    # A redirect, as GitHub's to its storage, must stay on https.
    command = ["curl", "--silent", "--show-error", "--fail", "--location", "--proto-redir", "=https"]
    command += ["--retry", "3", "--max-time", str(SECONDS), "--output", str(file), url]
    finished = subprocess.run(command, check=False, text=True, stderr=subprocess.PIPE)
    if finished.returncode:
        raise Unusable(
            f"download failed: {url} ({finished.stderr.strip()}). Check the release's name and the network, then try again"
        )


def main(command, *arguments):
    actions = {"add": lambda source, *rest: add(Path(source), *rest), "download": download}
    source, architecture, folder = arguments
    if architecture not in ARCHITECTURES:
        raise Unusable(f"unknown architecture `{architecture}`: use {' or '.join(ARCHITECTURES)}")
    actions[command](source, architecture, Path(folder))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Unusable as unusable:
        sys.exit(f"release: {unusable}")
