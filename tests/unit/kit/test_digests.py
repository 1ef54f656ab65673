"""Digests of JSON, files and code."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from agentforge.kit.digests import canonical_json, digest_code, digest_file, digest_json


def test_canonical_json_is_one_string_per_value() -> None:
    assert canonical_json({"b": [1, 2.5, None], "a": "ü"}) == '{"a":"ü","b":[1,2.5,null]}'.encode()
    assert digest_json({"a": 1, "b": 2}) == digest_json({"b": 2, "a": 1})
    assert digest_json({"a": 1}) != digest_json({"a": "1"})
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json(float("nan"))


def test_a_file_larger_than_a_buffer(tmp_path: Path) -> None:
    data = bytes(range(256)) * 10_000
    (tmp_path / "f").write_bytes(data)
    assert digest_file(tmp_path / "f") == hashlib.sha256(data).hexdigest()


def package(place: Path, name: str, body: str) -> None:
    (place / name / "sub").mkdir(parents=True)
    (place / name / "__init__.py").write_text("raise RuntimeError('must not be imported')\n")
    (place / name / "sub" / "part.py").write_text(body)


def test_code_is_digested_by_its_sources_and_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, body in (("digested_a", "x = 1\n"), ("digested_b", "x = 2\n")):
        package(tmp_path, name, body)
    first = digest_code("digested_a")
    assert first == digest_code("digested_a")
    assert len({first, digest_code("digested_b"), digest_code("digested_a", "digested_b")}) == 3
    assert "digested_a" not in sys.modules
    (tmp_path / "digested_a" / "sub" / "part.py").write_text("x = 3\n")
    (tmp_path / "digested_a" / "notes.txt").write_text("no code\n")
    digest_code.cache_clear()
    assert digest_code("digested_a") != first
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        digest_code("no_such_package")


def test_a_single_module_can_be_digested() -> None:
    assert digest_code("agentforge.kit.digests") != digest_code("agentforge.kit.rng")
