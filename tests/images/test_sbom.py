"""The bill of materials, made of this machine's own packages."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import Distribution, version
from pathlib import Path

import pytest

from deploy import sbom


class Stated(Distribution):
    """A distribution with this METADATA and nothing else."""

    def __init__(self, *lines: str) -> None:
        self._text = "\n".join(["Metadata-Version: 2.4", "Name: x", "Version: 1", *lines, ""])

    def read_text(self, filename: str) -> str | None:
        return self._text if filename == "METADATA" else None

    def locate_file(self, path: object) -> Path:
        raise FileNotFoundError(path)


@pytest.mark.parametrize(
    ("lines", "licence"),
    [
        (["License-Expression: MIT", "License: other"], "MIT"),
        (["Classifier: License :: OSI Approved :: BSD License", "License: long text"], "BSD License"),
        (["License: Apache 2.0"], "Apache 2.0"),
        ([], ""),
    ],
)
def test_a_licence_is_what_the_metadata_say(lines: list[str], licence: str) -> None:
    assert sbom.python_licence(Stated(*lines)) == licence


def test_the_bill_names_what_is_installed(tmp_path: Path) -> None:
    if shutil.which("dpkg-query") is None:
        pytest.skip("this is no Debian: dpkg-query is not here")
    sbom.main("trial", tmp_path / "made" / "sbom.json")
    bill = json.loads((tmp_path / "made" / "sbom.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    parts = {part["purl"]: part for part in bill["components"]}
    grpcio = parts[f"pkg:pypi/grpcio@{version('grpcio')}"]
    assert "Apache" in grpcio["licenses"][0]["license"]["name"]
    assert any(purl.startswith("pkg:deb/debian/libc6@") for purl in parts)
    assert list(parts) == sorted(parts)
