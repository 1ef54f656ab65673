"""How large the inputs of the products become on calibration items, as TensorRT's calibration cache tells it."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from agentforge.data.items import Item
from agentforge.data.splits import Split
from agentforge.edge.quantise.products import products
from agentforge.kit.digests import digest_file, digest_json
from agentforge.kit.errors import FailedPrecondition, InvalidInput

# trtexec reads only caches of the kind of its own calibrator, whatever found the numbers.
HEADER = "TRT-8502-EntropyCalibration2"
LEVELS = 127  # of int8, to either side of 0
BINS = 2048  # of a histogram

Feed = dict[str, Any]  # arrays by the names of the graph's inputs


def checked_items(items: Sequence[Item]) -> Sequence[Item]:
    """These items, none of which was held out: what is measured on the test split must not have seen it."""
    if not items:
        raise InvalidInput("the calibration split holds no items", reason="NO_ITEMS", field="items")
    for split, reason in ((Split.TEST, "SPLITS_MEET"), (None, "WRONG_SPLIT")):
        wrong = [each for each in items if each.split is not Split.CALIBRATION and split in (None, each.split)]
        if wrong:
            named = ", ".join(repr(each.canonical[:80]) for each in wrong[:8])
            more = f" and {len(wrong) - 8} more" if len(wrong) > 8 else ""
            message = f"{len(wrong)} items for calibration are of the {wrong[0].split} split: {named}{more}"
            step = "Draw them from the calibration split."
            raise FailedPrecondition(message, reason=reason, field="items", next_step=step)
    return items


def calibrate(source: Path, batches: Iterable[Feed]) -> dict[str, float]:
    """The size beyond which each input of a product is cut, so that its squared error in int8 is least."""
    found = {each.node.input[0]: each.integers for each in products(onnx.load(source).graph)}
    names = sorted(found)
    session = _observed(source, names)
    seen = {name: Sizes() for name in names}
    count = 0
    for batch in batches:
        count += 1
        for name, array in zip(names, session.run(names, batch), strict=True):
            seen[name].add(array)
    if not count:
        raise InvalidInput("there are no calibration batches", reason="NO_ITEMS", field="batches")
    for name, sizes in seen.items():
        if not (math.isfinite(sizes.largest) and sizes.largest > 0):
            message = f"the largest size of {name!r} on the calibration items is {sizes.largest}"
            step = "Calibrate on items that reach this part of the model."
            raise FailedPrecondition(message, reason="NO_RANGE", field=name, next_step=step)
    # Codes of a ternary layer's activations are whole already: a scale of 1 keeps them.
    return {name: float(LEVELS) if found[name] else sizes.best() for name, sizes in seen.items()}


def _observed(source: Path, names: Sequence[str]) -> onnxruntime.InferenceSession:
    model = onnx.load(source)
    told = {each.name for each in model.graph.output} | {each.name for each in model.graph.input}
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names if name not in told)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


class Sizes:
    """A histogram of sizes that widens twofold, so that no value need be seen again."""

    def __init__(self) -> None:
        self.counts, self.width, self.largest = np.zeros(BINS, np.int64), 0.0, 0.0

    def add(self, array: npt.NDArray[np.float32]) -> None:
        size = np.abs(array).ravel()
        if not size.size:
            return
        self.largest = float(np.maximum(self.largest, size.max()))  # NaN stays
        if not math.isfinite(self.largest) or self.largest == 0:
            return
        self.width = self.width or self.largest / BINS * 1.01
        while self.largest >= self.width * BINS:
            self.counts = np.concatenate([self.counts.reshape(-1, 2).sum(1), np.zeros(BINS // 2, np.int64)])
            self.width *= 2
        self.counts += np.bincount((size / self.width).astype(np.int64), minlength=BINS)

    def best(self) -> float:
        """Of 100 bounds up to the largest, the one of least squared error: rounding below it, cutting above."""
        middle, bounds = (np.arange(BINS) + 0.5) * self.width, self.largest * np.arange(1, 101) / 100
        above = middle > bounds[:, None]
        rounding = (bounds / LEVELS) ** 2 / 12 * (~above * self.counts).sum(1)
        cutting = (above * self.counts * (middle - bounds[:, None]) ** 2).sum(1)
        return float(bounds[(rounding + cutting).argmin()])


def calibration_cache(ranges: Mapping[str, float]) -> str:
    """Lines `tensor: scale`, the scale (largest / 127) as the bits of a float, the highest first."""
    lines = [f"{name}: {struct.pack('>f', np.float32(ranges[name]) / LEVELS).hex()}" for name in sorted(ranges)]
    return "\n".join([HEADER, *lines, ""])


_LINE = re.compile(r"(?P<name>.+): (?P<bits>[0-9a-f]{8})")


def parse_cache(text: str) -> dict[str, float]:
    """The largest sizes, read as trtexec reads them: what stands before the last colon is the name."""
    header, *lines = text.splitlines() or [""]
    if header != HEADER:
        raise _bad(1, f"the header is {header[:60]!r}, not {HEADER!r}")
    found: dict[str, float] = {}
    for number, line in enumerate(lines, 2):
        for name, amax in _entry(number, line):
            if name in found:
                raise _bad(number, f"{name!r} stands there twice")
            found[name] = amax
    return found


def _entry(number: int, line: str) -> Iterator[tuple[str, float]]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise _bad(number, f"{line[:80]!r} is not 'tensor: 8 hexadecimal digits'")
    scale = struct.unpack(">f", bytes.fromhex(match["bits"]))[0]
    if not math.isfinite(scale) or scale <= 0:
        raise _bad(number, f"the scale of {match['name']!r} is {scale}")
    yield match["name"], scale * LEVELS


def _bad(number: int, what: str) -> InvalidInput:
    message = f"line {number} of the calibration cache: {what}"
    return InvalidInput(
        message, reason="BAD_CALIBRATION_CACHE", field=f"line {number}", next_step="Calibrate again."
    )


def provenance(source: Path, items: Sequence[Item], ranges: Mapping[str, float], batches: int) -> dict[str, Any]:
    """What stands beside the cache: of which model and which items it is."""
    keys = [each.canonical for each in checked_items(items)]
    return {
        "format": 1,
        "model_sha256": digest_file(source),
        "split": str(Split.CALIBRATION),
        "items": len(keys),
        "items_sha256": digest_json(keys),
        "batches": batches,
        "tensors": len(ranges),
        "ranges_sha256": digest_json(dict(ranges)),
        "method": f"least squared error of {LEVELS} levels to either side of 0, {BINS} bins",
        "tools": {name: version(name) for name in ("onnx", "onnxruntime", "numpy")},
    }
