"""The same merges by mergekit and by us: the largest difference of any number.

On three Titans of 25 M parameters. tests/oracle has pico Titans, Llamas and random tensors, and DARE, for which
mergekit has to be given our mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentforge.kit.evidence import Row, Trial, at_most, stated

if TYPE_CHECKING:
    from torch import Tensor

METHODS = ("linear", "slerp", "ties")
DENSITY = 0.2  # as the stopwatch trims
_CLOSE = 1e-6


def trials() -> list[Trial]:
    return [Trial(method, {"method": method}) for method in METHODS]


def measure(method: str) -> dict[str, Any]:
    from agentforge.phase2_evomerge.experiments import stopwatch

    theirs = stopwatch.mergekit_python()

    def compared(place: Path, made: Mapping[str, Any]) -> dict[str, Any]:
        found = []
        for command in (stopwatch.our_program(place, method), stopwatch.their_program(place, method, theirs)):
            stopwatch.run(command, place)
            found.append(_tensors(place / "out"))
        ours, others = found
        if ours.keys() != others.keys():
            raise RuntimeError(f"the tensors differ: {sorted(ours.keys() ^ others.keys())[:3]}")
        largest, undecided = 0.0, 0
        for name in ours:
            apart = (ours[name] - others[name]).abs()
            if method == "ties" and float(apart.max()) > _CLOSE:
                equal = _undecided(place, name) & (apart > _CLOSE)
                undecided += int(equal.sum())
                apart = apart.masked_fill(equal, 0.0)
            largest = max(largest, float(apart.max()))
        return {**made, "largest": largest, "undecided": undecided, "tensors": len(ours)}

    return stopwatch.with_models(compared, method)


def _tensors(directory: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return {
        name: each for file in sorted(directory.glob("*.safetensors")) for name, each in load_file(file).items()
    }


def _undecided(place: Path, name: str) -> Tensor:
    """Where some model's change is as large as the smallest that its trimming keeps, and so is another of its own:
    which of them stays is not defined."""
    import torch

    base = _tensors(place / "base")[name]
    found = torch.zeros_like(base, dtype=torch.bool)
    for parent in "abc":
        size = (_tensors(place / parent)[name] - base).abs()
        smallest = size.flatten().topk(int(DENSITY * size.numel())).values[-1]
        equal = size == smallest
        found |= equal & (equal.sum() > 1)
    return found


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    found = []
    for method, result in results.items():
        how = f"largest difference in {result['tensors']} tensors of {result['parameters']:,} parameters, float32"
        if method == "ties":
            how += "; but where trimming must choose among exactly equal changes, of which either may stay"
        found.append(at_most(f"{method}: the numbers are mergekit's", _CLOSE, [result["largest"]], "1", method=how))
        if method == "ties":
            found.append(stated("ties: numbers that differ by such a choice", [result["undecided"]], "1"))
    return found
