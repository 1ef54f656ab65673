"""The parts measured here and now, each by itself, on as much as there is time for; every result says how much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from agentforge.kit.errors import MissingTool
from agentforge.phase7_adas.drive.closed_loop import latency
from agentforge.phase7_adas.drive.evidence.parts import of_fusion, of_perception, of_prediction, of_v2x
from agentforge.phase7_adas.drive.evidence.results import Result

SEED: Final = 201
"""It and the two after it are neither trained nor tuned on, nor those of the recorded figures."""


@dataclass(frozen=True)
class Sizes:
    scenes: int
    """Of perception, in all."""
    looks_s: float = 4.0
    """Of fusion, at each of three seeds; Stone Soup takes some six times as long as the looks last."""
    predicted: int = 3
    stations: int = 50
    radio_s: float = 3.0
    ticks: int = 1_000
    """Of latency, alone and beside a loaded core each."""


def measured(sizes: Sizes, seed: int = SEED, told: Callable[[str], object] = id) -> dict[str, list[Result]]:
    """By part. A part whose tool is not installed is missing, and `told` hears why."""
    found = {}
    for part, measure in _MEASURES.items():
        told(f"measuring {part}")
        try:
            found[part] = measure(sizes, seed)
        except MissingTool as error:
            told(f"{part} is not measured: {error.message}")
    return found


def _perception(sizes: Sizes, seed: int) -> list[Result]:
    from agentforge.phase7_adas.drive.perception.measure import measure

    return of_perception([measure(sizes.scenes, seed=seed)])


def _fusion(sizes: Sizes, seed: int) -> list[Result]:
    from agentforge.phase7_adas.drive.fusion.evidence import measure_fusion

    return [
        one
        for kind in ("hiding", "open")
        for one in of_fusion(
            [measure_fusion(seed + n, seconds=sizes.looks_s, hiding=kind == "hiding") for n in range(3)], kind
        )
    ]


def _prediction(sizes: Sizes, seed: int) -> list[Result]:
    from agentforge.phase7_adas.drive.prediction.evidence import measure_prediction

    return of_prediction([measure_prediction(seed * 1_000, many=sizes.predicted)])


def _v2x(sizes: Sizes, seed: int) -> list[Result]:
    from agentforge.phase7_adas.drive.v2x.measure import attacks
    from agentforge.phase7_adas.drive.v2x.measure_load import measure_load

    return of_v2x({"load": measure_load(sizes.stations, sizes.radio_s), "attacks": attacks(seed)})


def _latency(sizes: Sizes, seed: int) -> list[Result]:
    segments = latency.record(latency.DRIVEN[:3], seconds=6.0)
    found = latency.results(latency.drive_again(segments, sizes.ticks), "alone")
    with latency.loaded_neighbour():
        return found + latency.results(latency.drive_again(segments, sizes.ticks), "loaded")


_MEASURES: Final = {
    "perception": _perception, "fusion": _fusion, "prediction": _prediction, "v2x": _v2x, "latency": _latency,
}  # fmt: skip
