"""Writes the functions' bill of materials (CycloneDX). The same sources give the same bytes.

    sbom.py TRIPLE

It lists the crates that `cargo tree` lists: those that are compiled into the functions on this platform, and macros that
generate their code. A list made from Cargo.lock or `cargo metadata`, as other tools make it, would also contain crates
that only the tests' features need.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import quote

PACKAGE = "agent-heartbeat"
PROJECT = Path(__file__).parents[1]

# Depth in the tree, name, version, and the licence as an SPDX expression.
LINE = re.compile(r"(\d+)\|(\S+) v(\S+)[^|]*\|(.*?)(?: \(\*\))?")


def tree(triple):
    """cargo's tree of the crates of both functions: each line is below the crate that depends on it."""
    command = ["cargo", "tree", "--locked", "--package", PACKAGE, "--edges", "normal", "--target", triple]
    command += ["--prefix", "depth", "--format", "|{p}|{l}"]
    return subprocess.run(command, cwd=PROJECT, check=True, text=True, stdout=subprocess.PIPE).stdout.splitlines()


def reference(name, version):
    return f"pkg:cargo/{name}@{quote(version, safe='')}"


def checksums():
    """The checksum of each crate's package, which the build verifies."""
    lock = tomllib.loads((PROJECT / "Cargo.lock").read_text(encoding="utf-8"))
    return {reference(one["name"], one["version"]): one.get("checksum") for one in lock["package"]}


def bill(triple):
    sums = checksums()
    components, depends_on, above = {}, {}, []
    for line in tree(triple):
        depth, name, version, licence = LINE.fullmatch(line).groups()
        crate = reference(name, version)
        above[int(depth) :] = [crate]
        depends_on.setdefault(crate, set())
        if len(above) > 1:
            depends_on[above[-2]].add(crate)
        components[crate] = {
            "type": "library",
            "bom-ref": crate,
            "name": name,
            "version": version,
            **({"hashes": [{"alg": "SHA-256", "content": sums[crate]}]} if sums[crate] else {}),
            # Older crates separate alternative licences by a slash.
            "licenses": [{"expression": re.sub(" ?/ ?", " OR ", licence)}],
            "purl": crate,
        }
    [service] = (crate for crate, one in components.items() if one["name"] == PACKAGE)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {**components.pop(service), "type": "application"},
            "properties": [{"name": "cdx:rustc:sbom:target:triple", "value": triple}],
        },
        "components": [components[crate] for crate in sorted(components)],
        "dependencies": [{"ref": crate, "dependsOn": sorted(depends_on[crate])} for crate in sorted(depends_on)],
    }


if __name__ == "__main__":
    print(json.dumps(bill(sys.argv[1]), indent=1))
