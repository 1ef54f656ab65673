"""Ranges, the calibration cache, and the items they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from agentforge.data.items import Item
from agentforge.data.splits import Split
from agentforge.edge.quantise.ranges import (
    HEADER,
    Sizes,
    calibrate,
    calibration_cache,
    checked_items,
    parse_cache,
    provenance,
)
from agentforge.kit.errors import FailedPrecondition, InvalidInput
from agentforge.kit.rng import Rng
from tests.unit.edge_quantise.toy import Toy

ITEMS = [Item("sum", f"{number} + 1 =", str(number + 1), 1) for number in range(400)]
OF = {split: [each for each in ITEMS if each.split is split] for split in Split}


def test_the_cache_comes_back() -> None:
    ranges = {"/layers.0/Mul_output_0": 3.25, "a:b c": 1e-3}
    text = calibration_cache(ranges)
    assert text.splitlines()[:2] == [HEADER, "/layers.0/Mul_output_0: 3cd1a347"]
    assert parse_cache(text) == pytest.approx(ranges, rel=1e-6)


@pytest.mark.parametrize(
    "line",
    ["x 3cd1a347", "x: 3cd1a34", "x: 3cd1a347 ", "x: 3cd1g347", ": 3cd1a347", "", "x: 7f800000", "x: 7fc00000",
     "x: 00000000", "x: bcd1a347", "good: 3cd1a347"],
)  # fmt: skip
def test_a_bad_line_is_named(line: str) -> None:
    with pytest.raises(InvalidInput, match="line 3 "):
        parse_cache(f"{HEADER}\ngood: 3cd1a347\n{line}\nmore: 3cd1a347\n")


@pytest.mark.parametrize("text", ["", "TRT-8001-EntropyCalibration\nx: 3cd1a347\n"])
def test_a_bad_header_is_named(text: str) -> None:
    with pytest.raises(InvalidInput, match="line 1 "):
        parse_cache(text)


def test_items_of_other_splits_are_refused() -> None:
    assert checked_items(OF[Split.CALIBRATION])
    with pytest.raises(InvalidInput, match="no items"):
        checked_items([])
    held_out = OF[Split.TEST][0]
    with pytest.raises(FailedPrecondition) as refused:
        checked_items([*OF[Split.TRAIN][:1], *OF[Split.CALIBRATION], held_out])
    assert refused.value.reason == "SPLITS_MEET"
    assert repr(held_out.canonical) in refused.value.message
    with pytest.raises(FailedPrecondition, match="train split"):
        checked_items(OF[Split.TRAIN][:9])


def test_the_bound_is_of_least_squared_error() -> None:
    values = Rng(0, "sizes").numpy().laplace(size=20_000).astype(np.float32)
    sizes = Sizes()
    for part in np.array_split(values[np.abs(values).argsort()], 7):  # each reaches farther than those before
        sizes.add(part)

    def error(bound: float) -> float:
        step = bound / 127
        return float(np.square(np.clip(np.round(values / step), -127, 127) * step - values).sum())

    tried = [error(each * np.abs(values).max() / 100) for each in range(20, 101)]
    assert error(sizes.best()) < 1.02 * min(tried)
    assert sizes.counts.sum() == values.size


def test_ragged_batches_are_calibrated(tmp_path: Path) -> None:
    toy, file = Toy(layers=1, passes=1, opset=17), tmp_path / "model.onnx"
    onnx.save(toy.model(), file)
    batches = [toy.feed(number, time=1 + number, past=number) for number in range(3)]
    found = calibrate(file, iter(batches))
    assert set(found) == {"p0.n1.normed", "p0.joined", "p0.n2.normed", "p0.inner", "last_state"}
    told = provenance(file, OF[Split.CALIBRATION], found, len(batches))
    assert (told["split"], told["tensors"], told["batches"]) == ("calibration", 5, 3)
    with pytest.raises(InvalidInput, match="no calibration batches"):
        calibrate(file, [])


@pytest.mark.parametrize("factor", [0.0, np.nan])
def test_a_tensor_without_a_size_is_named(tmp_path: Path, factor: float) -> None:
    toy, file = Toy(layers=1, passes=1, opset=17), tmp_path / "model.onnx"
    model = toy.model()
    table = next(each for each in model.graph.initializer if each.name == "l0.up")
    table.CopyFrom(onnx.numpy_helper.from_array(toy.kept["l0.up"] * np.float32(factor), "l0.up"))
    onnx.save(model, file)
    with pytest.raises(FailedPrecondition, match=r"inner|last_state"):
        calibrate(file, [toy.feed()])
