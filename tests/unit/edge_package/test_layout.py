"""What may be staged, and what a manifest may say."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from agentforge.edge.package.layout import MANIFEST, REQUIRED, check_layout, staged_files
from agentforge.edge.package.manifest import read_manifest, write_manifest
from agentforge.kit.errors import ForgeError, InvalidInput
from tests.unit.edge_package.toy import about


def test_the_manifest_lists_every_file_and_nothing_else(staged: Path) -> None:
    manifest = read_manifest((staged / MANIFEST).read_bytes())
    assert sorted(manifest.files) == staged_files(staged)
    assert manifest.files["build_engine.sh"].bytes == (staged / "build_engine.sh").stat().st_size
    before = (staged / MANIFEST).read_bytes()
    write_manifest(staged, about())
    assert (staged / MANIFEST).read_bytes() == before


def test_all_that_is_missing_is_named_at_once(staged: Path) -> None:
    for path in ("README.md", "models/cpu_fp32.onnx", "calibration/calibration.cache"):
        (staged / path).unlink()
    with pytest.raises(InvalidInput) as caught:
        write_manifest(staged, about())
    named = {violation.field for violation in caught.value.violations}
    assert named == {"README.md", "models/cpu_fp32.onnx", "calibration/calibration.cache"}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("engines/model.plan", "built on the device"),
        ("models/extra.bin", "no part of a package"),
        ("runtime/__pycache__/state.cpython-38.pyc", "no part of a package"),
        ("runtime/State.py", "upper and lower case"),
        ("runtime/state.py/inner.py", "is a file"),
        ("runtime/../../outside.py", "not allowed"),
        ("/etc/passwd", "not allowed"),
        ("runtime/.hidden.py", "not allowed"),
        ("runtime/new\nline.py", "not allowed"),
        ("runtime/" + "long" * 30 + ".py", "the most"),
    ],
)
def test_foreign_and_unsafe_names_are_refused(path: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_layout([*REQUIRED, "runtime/state.py", path])
    assert words in " ".join(f"{each.message} {each.next_step}" for each in caught.value.violations)


def test_links_and_pipes_are_refused(staged: Path) -> None:
    (staged / "runtime/link.py").symlink_to("/etc/passwd")
    (staged / "tokenizer/folder").symlink_to("/etc")
    os.mkfifo(staged / "runtime/pipe.py")
    with pytest.raises(InvalidInput) as caught:
        staged_files(staged)
    assert [each.field for each in caught.value.violations] == [
        "runtime/link.py", "runtime/pipe.py", "tokenizer/folder",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[1]", "no format"),
        (b'{"format": 2}', "format 1 is known here"),
        (b'{"format": "1"}', "format 1 is known here"),
        (b'{"format": true}', "format 1 is known here"),
        (b'{"format": 1, "format": 1}', "twice"),
        (b'{"format": 1}', "is required"),
        (b" " * (1 << 20) + b"{}", "the most"),
    ],
)
def test_a_manifest_of_another_form_is_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        read_manifest(data)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("files", {"../../outside": {"sha256": "0" * 64, "bytes": 1}}),
        ("files", {"README.md": {"sha256": "0" * 64, "bytes": -1}}),
        ("files", {"README.md": {"sha256": "zz", "bytes": 1}}),
        ("name", "../up"),
        ("version", "latest"),
        ("surprise", 1),
        ("variants", {"model.onnx": {"opset": 17, "weights": "float32", "for": "toaster"}}),
    ],
)
def test_a_manifest_with_a_wrong_field_names_it(made: Path, field: str, value: object) -> None:
    record = json.loads((made / MANIFEST).read_bytes())
    record[field] = {**record["files"], **value} if field == "files" and isinstance(value, dict) else value
    with pytest.raises(ForgeError) as caught:
        read_manifest(json.dumps(record).encode())
    assert next(iter(value)) in str(caught.value) if isinstance(value, dict) else field in str(caught.value)
