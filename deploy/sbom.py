"""A bill of materials (CycloneDX 1.5) of the image it runs in: Python distributions and Debian packages.

    python sbom.py NAME FILE

Run inside the build, where nothing but the image's own Python is at hand. What a package does not state is left
out.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

DEBIAN_FIELDS = "${Package}\t${Version}\t${Architecture}\n"
COPYRIGHTS = Path("/usr/share/doc")
_LICENCE = re.compile(r"^License: *(\S.*)$", re.MULTILINE)


def main(name: str, file: Path) -> None:
    components = sorted(python_packages() + debian_packages(), key=lambda c: str(c["purl"]))
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": name}},
        "components": components,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


def python_packages() -> list[dict[str, Any]]:
    return [_python_package(found) for found in distributions()]


def _python_package(found: Distribution) -> dict[str, Any]:
    name = re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower()
    return _component(name, found.version, f"pkg:pypi/{name}@{found.version}", python_licence(found))


def python_licence(found: Distribution) -> str:
    """License-Expression (PEP 639); else the classifiers; else the old free field's first line."""
    metadata = found.metadata
    if expression := metadata.get_all("License-Expression"):
        return str(expression[0])
    classifiers = [line for line in metadata.get_all("Classifier") or [] if line.startswith("License :: ")]
    if classifiers:
        return " AND ".join(sorted({line.rpartition(" :: ")[2] for line in classifiers}))
    return str((metadata.get_all("License") or [""])[0]).strip().partition("\n")[0]


def debian_packages() -> list[dict[str, Any]]:
    listed = subprocess.run(["dpkg-query", "-W", "-f", DEBIAN_FIELDS], check=True, capture_output=True, text=True)
    packages = []
    for line in listed.stdout.splitlines():
        name, version, architecture = line.split("\t")
        purl = f"pkg:deb/debian/{name}@{version}?arch={architecture}"
        packages.append(_component(name, version, purl, debian_licence(name)))
    return packages


def debian_licence(name: str) -> str:
    """The licences that the package's machine-readable copyright file names, if it is one."""
    file = COPYRIGHTS / name / "copyright"
    text = file.read_text(errors="replace") if file.is_file() else ""
    return " AND ".join(sorted(set(_LICENCE.findall(text)))) if "Format:" in text else ""


def _component(name: str, version: str, purl: str, licence: str) -> dict[str, Any]:
    stated = {"licenses": [{"license": {"name": licence}}]} if licence else {}
    return {"type": "library", "name": name, "version": version, "purl": purl} | stated


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
