"""What perception reaches on held-out scenes of the generator: by class, distance, weather and set of sensors.

All of it is about this generator's world. It says nothing about real sensors on real roads.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.agent import Sight
from agentforge.phase7_adas.drive.evidence.intervals import Rate, cases_needed
from agentforge.phase7_adas.drive.perception.agent import Perception
from agentforge.phase7_adas.drive.perception.combine import Evidence
from agentforge.phase7_adas.drive.perception.matching import NOBODY
from agentforge.phase7_adas.drive.perception.scoring import Scored, True_, joined, labelled, score, truths
from agentforge.phase7_adas.drive.perception.sights import SENSORS, only, sight
from agentforge.phase7_adas.drive.truth import Floats, Kind

BINS_M = ((0, 25), (25, 50), (50, 100), (100, 150))
TOLD = 0.5
"""A body is found if its detection has this confidence."""
SURE = 0.95
"""The seeds' "detection confidence"."""
SEEDS_MISSED = 1e-4
"""The seeds' false-negative rate for pedestrians and vehicles."""
SETS = {"combined": SENSORS, "camera": ("camera",), "radar": ("radar",), "lidar": ("lidar",)}
CALIBRATION_BINS = 15
WARM = 5


def measure(scenes: int, seed: int, perception: Perception | None = None) -> dict[str, Any]:
    """On `scenes` of the test split. Times are wall times of one call of step, one thread, after WARM calls."""
    if scenes < 1:
        raise ValueError(f"{scenes} scenes: nothing would be measured")
    agent = perception or Perception()
    scored: dict[str, list[Scored]] = {name: [] for name in SETS}
    bad, times, stages = [], [], _Stages()
    for index in range(scenes):
        drawn, given = sight("test", seed, index, agent.specs)
        true = truths(drawn, agent.specs)
        bad.append(drawn.bad_weather)
        for name, sensors in SETS.items():
            heard = only(given, *sensors)
            start = time.perf_counter()
            told = agent.step(heard)
            if name == "combined" and index >= WARM:
                times.append((time.perf_counter() - start) * 1e3)
            scored[name].append(score(told, true))
        stages.add(agent, given, true)
    made: dict[str, Any] = {"scenes": scenes, "seed": seed, "split": "test", "scenes_in_bad_weather": sum(bad)}
    for weather, wanted in (("all", (True, False)), ("clear", (False,)), ("bad", (True,))):
        chosen = {n: [s for s, b in zip(every, bad, strict=True) if b in wanted] for n, every in scored.items()}
        if chosen["combined"]:
            made[weather] = {name: _figures(joined(every)) for name, every in chosen.items()}
    made["calibration_error"] = stages.told()
    made["step_ms"] = _times(times)
    made["seeds"] = _seeds(joined(scored["combined"]))
    return made


def _figures(all_: Scored) -> dict[str, Any]:
    """Recall asks whether a body was found at all; `kind_right` of those found. Precision is by the kind told."""
    sure = all_.confidence_D >= TOLD
    made: dict[str, Any] = {"by_class": {}}
    for kind in Kind:
        of, told = all_.kind_M == kind, (all_.kind_D == kind) & sure
        rows = {"0-150": (of, told)}
        for low, high in BINS_M:
            inside = (all_.far_M >= low) & (all_.far_M < high)
            rows[f"{low}-{high}"] = (of & inside, told & (all_.far_D >= low) & (all_.far_D < high))
        made["by_class"][kind.name.lower()] = {name: _row(all_, *row, kind) for name, row in rows.items()}
    made["precision"] = _rate(all_.there_D[sure])
    error = all_.error_D[sure & all_.there_D]
    made["error_m"] = (
        {"median": float(np.median(error)), "p90": float(np.quantile(error, 0.9))} if len(error) else {}
    )
    return made


def _row(all_: Scored, of: NDArray[np.bool_], told: NDArray[np.bool_], kind: Kind) -> dict[str, Any]:
    found = all_.confidence_M[of] >= TOLD
    return {
        "recall": _rate(found),
        "false_negatives": _rate(~found),
        "unseen": _rate(all_.kind_told_M[of] == NOBODY),
        "kind_right": _rate(all_.kind_told_M[of][found] == kind),
        "precision": _rate(all_.there_D[told]),
    }


def _rate(flags: NDArray[np.bool_]) -> dict[str, float | int] | None:
    """None where there was no case: then there is no rate."""
    return Rate(int(flags.sum()), len(flags)).told() if len(flags) else None


def expected_error(confidence_N: Floats, there_N: NDArray[np.bool_]) -> float:
    """Expected calibration error over equally wide bins."""
    place = np.minimum((confidence_N * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    gaps = [
        np.count_nonzero(place == each)
        * abs(float(confidence_N[place == each].mean() - there_N[place == each].mean()))
        for each in range(CALIBRATION_BINS)
        if (place == each).any()
    ]
    return float(sum(gaps)) / len(confidence_N)


class _Stages:
    """Confidence of all candidates before calibration, after the logistic model, and after the isotonic step."""

    def __init__(self) -> None:
        self._parts: list[tuple[Floats, Floats, Floats, NDArray[np.bool_]]] = []

    def add(self, agent: Perception, given: Sight, true: True_) -> None:
        evidence: Evidence | None = agent.evidence(given)
        if evidence is not None and len(evidence):
            there, _ = labelled(evidence, true)
            model = agent.confidence
            self._parts.append((evidence.naive_N, model.modelled(evidence), model.of(evidence), there))

    def told(self) -> dict[str, float | int]:
        naive, modelled, final, there = (np.concatenate(each) for each in zip(*self._parts, strict=True))
        return {
            "before": expected_error(naive, there),
            "logistic": expected_error(modelled, there),
            "after": expected_error(final, there),
            "candidates": len(there),
            "bins": CALIBRATION_BINS,
        }


def _times(times: list[float]) -> dict[str, float | int]:
    if not times:
        return {"n": 0}
    p50, p99 = np.percentile(times, [50, 99])
    return {"p50": float(p50), "p99": float(p99), "max": max(times), "n": len(times), "deadline": 5.0}


def _seeds(all_: Scored) -> dict[str, Any]:
    """The seeds' two thresholds: what was reached, and how many cases the second one needs to be told at all."""
    asked = (all_.kind_M == Kind.VEHICLE) | (all_.kind_M == Kind.PEDESTRIAN)
    confidence = all_.confidence_M[asked]
    found = confidence[confidence >= TOLD]
    return {
        "found_with_95_percent": _rate(confidence >= SURE),
        "mean_confidence_of_found": float(found.mean()) if len(found) else None,
        "false_negatives": _rate(confidence < TOLD),
        "false_negatives_wanted": SEEDS_MISSED,
        "cases_needed_without_a_miss": cases_needed(SEEDS_MISSED),
        "cases": int(asked.sum()),
    }
