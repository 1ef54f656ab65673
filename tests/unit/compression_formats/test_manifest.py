"""artifacts.json, and the tools that a format misses."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from agentforge.kit.digests import canonical_json
from agentforge.phase8_compression.formats import FORMATS, Options
from agentforge.phase8_compression.formats.face import Made
from agentforge.phase8_compression.formats.manifest import manifest


def test_every_file_is_told_with_its_digest_and_its_answers(tmp_path: Path) -> None:
    place = tmp_path / "onnx"
    place.mkdir()
    (place / "a.onnx").write_bytes(b"weights")
    (place / "graph.json").write_bytes(b"{}")
    made = {"onnx": Made(place, ("a.onnx", "graph.json"), {"a.onnx": False}, {"opset": 21})}
    told = json.loads(
        canonical_json(manifest(tmp_path, made, {"onnx": {"a.onnx": 0.5}}, {"gguf": "no"}, parameters=7))
    )
    weights, graph = told["artifacts"]
    assert weights == {
        "format": "onnx", "file": "onnx/a.onnx", "bytes": 7, "sha256": hashlib.sha256(b"weights").hexdigest(),
        "lossless": False, "same_answers": 0.5,
    }  # fmt: skip
    assert "lossless" not in graph
    assert (told["parameters"], told["not_made"]) == (7, {"gguf": "no"})
    assert {"python", "onnxruntime"} <= told["formats"]["onnx"]["checked_with"].keys()


def test_an_answering_file_without_a_check_is_never_listed(tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx/a.onnx").write_bytes(b"weights")
    made = {"onnx": Made(tmp_path / "onnx", ("a.onnx",), {"a.onnx": True}, {})}
    with pytest.raises(KeyError):
        manifest(tmp_path, made, {"onnx": {}}, {}, parameters=7)


def test_a_missing_package_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnxruntime" else name)
    (fault,) = FORMATS["onnx"].fits({}, Options())
    assert (fault.field, fault.reason) == ("formats.onnx", "MISSING_TOOL")
    assert "agentforge[edge]" in fault.next_step


def test_a_memory_that_forgets_at_random_cannot_be_exported() -> None:
    described = {"model_type": "agentforge_titan", "memory": True, "memory_write": "random"}
    for name in ("onnx", "tensorrt", "runner"):
        assert [each.field for each in FORMATS[name].fits(described, Options())] == [f"formats.{name}"], name
