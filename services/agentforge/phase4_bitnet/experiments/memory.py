"""What inference holds in memory, ours beside plain float32: of a fresh process, what it grows by.

Counted from where the libraries are loaded and a small layer has answered; what loading left free is given back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, stated
from agentforge.phase4_bitnet.experiments.shapes import CONTEXT, EAGER, OURS, SHAPES

WAYS = (EAGER, OURS)
LAYERS, MODEL = "linear layers", "whole model"
TOLD = ("25m", "350m", "titan")


def trials() -> list[Trial]:
    return [
        Trial(f"{part}/{shape}/{way}", {"part": part, "shape": shape, "way": way})
        for part in (LAYERS, MODEL)
        for shape in TOLD
        for way in WAYS
    ]


def measure(part: str, shape: str, way: str) -> dict[str, Any]:
    from agentforge.phase4_bitnet.experiments import resident

    return {LAYERS: resident.linear_layers, MODEL: resident.whole_model}[part](shape, way)


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    found = []
    for shape in TOLD:
        for part in (LAYERS, MODEL):
            of = {way: results[f"{part}/{shape}/{way}"] for way in WAYS}
            found += _of_one(f"{SHAPES[shape].text}, {part}", part, of)
    return found


def _of_one(name: str, part: str, of: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    ours, plain = (float(of[way]["peak_bytes"]) for way in (OURS, EAGER))
    claim = f"{name}: peak memory in inference, fp32 over ours"
    if part == LAYERS:
        first = at_least(
            claim, 8.0, [plain / ours], "1", method="all layers in turn, a token each; scales included"
        )
    else:
        method = f"{CONTEXT} tokens one by one; keys, values, embedding and head included"
        first = stated(claim, [plain / ours], "1", method=method)
    return [
        first,
        stated(f"{name}: fp32", [plain], "By"),
        stated(f"{name}: ours", [ours], "By"),
        stated(f"{name}: ours, the most while loading", [float(of[OURS]["loading_bytes"])], "By"),
    ]
