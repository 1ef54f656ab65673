"""What cannot be merged: told by file and tensor, with nothing written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from agentforge.kit.errors import ForgeError
from agentforge.phase2_evomerge.streaming.merge import MergeRequest, merge_models
from tests.unit.evomerge.directories import save, save_sharded, weights

INF, NAN = float("inf"), float("nan")


def changed(**tensors: torch.Tensor | None) -> dict[str, torch.Tensor]:
    merged = {**weights(1), **{name.replace("__", "."): each for name, each in tensors.items()}}
    return {name: each for name, each in merged.items() if each is not None}


def refused(tmp_path: Path, reason: str, *named: str, name: str = "linear", **others: Any) -> None:
    models = tuple(tmp_path / place for place in others.pop("places", ("a", "b")))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ForgeError) as caught:
        merge_models(MergeRequest(name, models, tmp_path / "out", **others))
    assert caught.value.reason == reason
    assert all(each in str(caught.value) for each in named), str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before, "something was left"


@pytest.mark.parametrize(
    ("tensors", "reason", "named"),
    [
        (changed(layer__bias=torch.full((7,), NAN)), "NOT_FINITE", ("layer.bias", "b/model.safetensors", "NaN")),
        (changed(scale=torch.tensor(-INF)), "NOT_FINITE", ("scale", "Inf")),
        (changed(layer__bias=torch.zeros(8)), "SHAPES_DIFFER", ("layer.bias", "[7]", "[8]", "b/model")),
        (changed(layer__bias=None), "TENSORS_DIFFER", ("layer.bias",)),
        (changed(more=torch.zeros(1)), "TENSORS_DIFFER", ("more",)),
        (changed(lm_head__weight=torch.zeros(1)), "TIED_HEADS_DIFFER", ("lm_head.weight", "embeddings")),
        (changed(table=torch.zeros(5, dtype=torch.int64)), "BUFFERS_DIFFER", ("table", "I64")),
        (changed(table=torch.zeros(5)), "DTYPES_DIFFER", ("table", "I64", "F32")),
        (changed(scale=torch.zeros((), dtype=torch.float16)), "DTYPES_DIFFER", ("scale", "float16", "--dtype")),
        (changed(scale=torch.zeros((), dtype=torch.float64)), "DTYPES_DIFFER", ("scale", "F64")),
    ],
)  # fmt: skip
def test_tensors_that_do_not_fit(
    tmp_path: Path, tensors: dict[str, torch.Tensor], reason: str, named: tuple[str, ...]
) -> None:
    save(tmp_path / "a", weights(0))
    save(tmp_path / "b", tensors)
    refused(tmp_path, reason, *named)


def test_float64_is_not_merged_in_less(tmp_path: Path) -> None:
    for name in "ab":
        save(tmp_path / name, {"w": torch.zeros(2, dtype=torch.float64)})
    refused(tmp_path, "UNSUPPORTED_DTYPE", "'w'", "F64", dtype="float32")


def test_what_overflows_the_dtype(tmp_path: Path) -> None:
    for name in "ab":
        save(tmp_path / name, {"w": torch.full((2,), 1e6)})
    refused(tmp_path, "MERGED_NOT_FINITE", "'w'", "float16", dtype="float16")
    refused(tmp_path, "UNKNOWN_DTYPE", "int8", dtype="int8")


@pytest.mark.parametrize("field", ["model_type", "vocab_size", "tie_word_embeddings"])
def test_configs_that_do_not_fit(tmp_path: Path, field: str) -> None:
    save(tmp_path / "a", weights(0))
    save(tmp_path / "b", weights(1), **{field: "other"})
    refused(tmp_path, "MODELS_DIFFER", field, "'other'")


def test_tokenizers_that_do_not_fit(tmp_path: Path) -> None:
    for name, vocab in (("a", {"x": 0, "y": 1}), ("b", {"x": 0, "y": 2}), ("c", [["x", 0.0], ["z", -1.0]])):
        save(tmp_path / name, weights(0))
        (tmp_path / name / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocab}}))
    refused(tmp_path, "TOKENIZERS_DIFFER", "token 'y' is number 1", "number 2")
    refused(tmp_path, "TOKENIZERS_DIFFER", "token 'y' is number 1", "absent", places=("a", "c"))
    (tmp_path / "b/tokenizer.json").write_text('{"model": {"vocab": 3}}')
    refused(tmp_path, "BROKEN_FILE", "b/tokenizer.json")


def _header(place: Path, change: Callable[[dict[str, Any]], None]) -> None:
    data = place.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    place.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:-9]), ("is cut", "tensor")),
        (lambda file: file.write_bytes(file.read_bytes() + b"1234"), ("4 bytes at its end",)),
        (lambda file: file.write_bytes(b"123"), ("cannot hold its header",)),
        (lambda file: file.write_bytes(b"\xff" * 40), ("cannot hold its header",)),
        (lambda file: file.write_bytes((9).to_bytes(8, "little") + b"{no json}"), ("not JSON",)),
        (lambda file: file.write_bytes((2).to_bytes(8, "little") + b"[]"), ("no JSON object",)),
        (lambda file: _header(file, lambda h: h["layer.bias"].update(shape=[9])), ("layer.bias", "36 bytes")),
        (lambda file: _header(file, lambda h: h["layer.bias"].update(shape=[-7])), ("layer.bias",)),
        (lambda file: _header(file, lambda h: h["layer.bias"].update(dtype="F3")), ("layer.bias", "F3")),
        (lambda file: _header(file, lambda h: h["layer.bias"].pop("shape")), ("layer.bias",)),
        (lambda file: _header(file, lambda h: h["scale"].update(data_offsets=[0, 3])), ("scale", "bytes")),
        (lambda file: _header(file, lambda h: h.pop("embed.weight")), ("gap",)),
    ],
)  # fmt: skip
def test_broken_files(tmp_path: Path, damage: Callable[[Path], None], named: tuple[str, ...]) -> None:
    save(tmp_path / "a", weights(0))
    damage(save(tmp_path / "b", weights(1)) / "model.safetensors")
    refused(tmp_path, "BROKEN_FILE", "b/model.safetensors", *named)


def test_broken_shards(tmp_path: Path) -> None:
    save(tmp_path / "a", weights(0))
    shards = save_sharded(tmp_path / "b", weights(1))
    (shards / "model-1.safetensors").unlink()
    refused(tmp_path, "MISSING_SHARD", "model-1.safetensors", "layer.bias")
    index = shards / "model.safetensors.index.json"
    places = json.loads(index.read_text())["weight_map"]
    for wrong in ({**places, "layer.bias": "model-0.safetensors"}, {**places, "scale": "../a/model.safetensors"}):
        index.write_text(json.dumps({"weight_map": wrong}))
        refused(tmp_path, "BROKEN_FILE", "layer.bias" if wrong["scale"] == places["scale"] else "scale")
    index.write_text("{}")
    refused(tmp_path, "BROKEN_FILE", "weight_map")
    index.unlink()
    refused(tmp_path, "NO_WEIGHTS", "b")


def test_requests_that_cannot_be_met(tmp_path: Path) -> None:
    for seed, name in enumerate("abc"):
        save(tmp_path / name, weights(seed))
    refused(tmp_path, "UNKNOWN_METHOD", "Did you mean 'slerp'", name="slrp")
    refused(tmp_path, "BASE_REQUIRED", "--base", name="ties")
    refused(tmp_path, "BASE_UNUSED", "linear", base=tmp_path / "c")
    refused(tmp_path, "MODEL_COUNT", "2 to 3", name="slerp", places=("a",))
    refused(tmp_path, "WEIGHT_COUNT", "3 weights", options={"weights": [1, 2, 3]})
    refused(tmp_path, "T_WITH_THREE_PARENTS", name="slerp", places=("a", "b", "c"), options={"t": 0.3})
    refused(tmp_path, "UNKNOWN_FIELD", "weights", options={"weihgts": [1, 2]})
    refused(tmp_path, "MODEL_NOT_FOUND", "nowhere", places=("a", "nowhere"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("mine")
    refused(tmp_path, "OUT_EXISTS", "out")
