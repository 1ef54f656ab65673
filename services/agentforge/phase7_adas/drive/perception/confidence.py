"""From evidence to a probability that something is there: a logistic model per set of sources, then isotonic."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentforge.kit.errors import DataLoss, NotFound
from agentforge.phase7_adas.drive.perception.combine import Evidence, Feature
from agentforge.phase7_adas.drive.truth import Floats

FITTED = Path(__file__).parent / "weights" / "confidence.json"
COMBINATIONS = range(1, 8)  # of camera 1, radar 2, lidar 4
RIDGE, ROUNDS = 1.0, 30
LEAST, MOST = 1e-4, 1.0 - 1e-4
KNOTS = 24
ENOUGH = 60
"""Candidates that a model of its own needs."""
UNKNOWN = -2.0
"""Score of what never came in calibration."""


@dataclass(frozen=True)
class Confidence:
    weights_88F: Floats
    """By Source flags of the sensors that were heard, and of those that speak for the candidate."""
    curves: tuple[tuple[Floats, Floats], ...]
    """By the sensors that were heard: the model's probability, and the share that was there. Isotonic."""
    spread_82: Floats
    """By the sensors that speak for it: factors on the spreads along and across the line of sight."""
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def blank(cls) -> Confidence:
        """Knows nothing: one half of everything."""
        line = (np.array([0.0, 1.0]), np.array([0.0, 1.0]))
        return cls(np.zeros((8, 8, len(Feature))), (line,) * 8, np.ones((8, 2)))

    def modelled(self, evidence: Evidence) -> Floats:
        """Before the isotonic step."""
        weights = self.weights_88F[evidence.heard_N & 7, evidence.sources_N & 7]
        score = (evidence.features_NF * weights).sum(axis=1)
        made: Floats = 1.0 / (1.0 + np.exp(-np.minimum(np.maximum(score, -30.0), 30.0)))
        return made

    def of(self, evidence: Evidence) -> Floats:
        modelled, sensors = self.modelled(evidence), set(evidence.heard_N.tolist())
        if len(sensors) == 1:  # as always but in calibration: one sight has one
            return np.interp(modelled, *self.curves[sensors.pop() & 7])
        made = np.zeros(len(evidence))
        for heard in sensors:
            of = evidence.heard_N == heard
            made[of] = np.interp(modelled[of], *self.curves[heard & 7])
        return made

    def write(self, path: Path) -> None:
        made = {
            "features": [each.name for each in Feature],
            "weights": np.round(self.weights_88F, 5).tolist(),
            "curves": [np.round(each, 6).tolist() for each in self.curves],
            "spread": np.round(self.spread_82, 4).tolist(),
            "facts": self.facts,
        }
        path.write_text(json.dumps(made, sort_keys=True) + "\n")


def load_confidence(path: Path = FITTED) -> Confidence:
    if not path.is_file():
        raise NotFound(
            f"the fitted confidence {path.name} is missing",
            reason="DETECTOR_MISSING",
            field=str(path),
            next_step="Make it: python -m agentforge.phase7_adas.drive.perception.remake --out DIR.",
        )
    try:
        side = json.loads(path.with_name("camera.json").read_text())
        raw = path.read_bytes()
        told = json.loads(raw)
        weights, spread = (np.array(told[name], dtype=np.float64) for name in ("weights", "spread"))
        curves = tuple((np.array(x, dtype=np.float64), np.array(y, dtype=np.float64)) for x, y in told["curves"])
        good = hashlib.sha256(raw).hexdigest() == side["confidence_sha256"]
        good = (
            good and told["features"] == [each.name for each in Feature] and weights.shape == (8, 8, len(Feature))
        )
        good = good and spread.shape == (8, 2) and len(curves) == 8
        good = good and all(np.isfinite(each).all() for each in (weights, spread, *(e for c in curves for e in c)))
        good = good and all(len(x) == len(y) > 1 and (np.diff(x) > 0).all() for x, y in curves)
    except (OSError, ValueError, KeyError, TypeError):
        good = False
    if not good:
        raise DataLoss(
            f"{path.name} is not what camera.json says, or not of these features",
            reason="DETECTOR_DIGEST",
            field=str(path),
            next_step="Restore it from the repository, or fit it anew with perception.remake.",
        )
    return Confidence(weights, curves, spread, told.get("facts", {}))


def fit(evidence: Evidence, there_N: NDArray[np.bool_], off_N2: Floats) -> Confidence:
    """`off` is how far each true one was from its body, along and across, in its own spreads; NaN for false ones.

    Every other candidate fits the logistic models, the rest the isotonic steps.
    """
    made = Confidence.blank()
    weights, spread, half = made.weights_88F, made.spread_82, np.arange(len(evidence)) % 2 == 0
    weights[..., Feature.ONE] = UNKNOWN
    sources, heard = evidence.sources_N & 7, evidence.heard_N & 7
    for mask in COMBINATIONS:
        of = sources == mask
        if (of & half).sum() >= ENOUGH:  # for those heard too rarely: all that have the same sources
            weights[:, mask] = _logistic(evidence.features_NF[of & half], there_N[of & half])
        for sensors in COMBINATIONS:
            train = of & half & (heard == sensors)
            if train.sum() >= ENOUGH:
                weights[sensors, mask] = _logistic(evidence.features_NF[train], there_N[train])
        true = of & there_N
        if true.sum() >= ENOUGH:
            # half of a normal spread lies within 0.6745 of its middle; 90 % within 1.645
            spread[mask] = np.maximum(
                np.quantile(np.abs(off_N2[true]), 0.5, axis=0) / 0.6745,
                np.quantile(np.abs(off_N2[true]), 0.9, axis=0) / 1.645,
            )
    modelled, curves = made.modelled(evidence), list(made.curves)
    for sensors in COMBINATIONS:
        rest = ~half & (heard == sensors)
        if rest.sum() >= ENOUGH:
            curves[sensors] = _isotonic(modelled[rest], there_N[rest])
    return Confidence(weights, tuple(curves), spread)


def _logistic(x_NF: Floats, y_N: NDArray[np.bool_]) -> Floats:
    """Newton's steps with a ridge, so that features that never vary stay at zero."""
    w = np.zeros(x_NF.shape[1])
    for _ in range(ROUNDS):
        p = 1.0 / (1.0 + np.exp(-np.clip(x_NF @ w, -30.0, 30.0)))
        slope = x_NF.T @ (y_N - p) - RIDGE * w
        curve = (x_NF * (p * (1.0 - p))[:, None]).T @ x_NF + RIDGE * np.eye(len(w))
        step = np.linalg.solve(curve, slope)
        w = w + step
        if np.abs(step).max() < 1e-8:
            break
    return w


def _isotonic(score_N: Floats, y_N: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Shares in equally full bins, made to rise by pooling neighbours, joined by straight lines."""
    order = np.argsort(score_N, kind="stable")
    groups = [each for each in np.array_split(order, KNOTS) if len(each)]
    blocks = [[float(score_N[each].mean()), float(y_N[each].mean()), float(len(each))] for each in groups]
    pooled: list[list[float]] = []
    for block in blocks:
        pooled.append(block)
        while len(pooled) > 1 and pooled[-2][1] >= pooled[-1][1]:
            x1, y1, n1 = pooled.pop(-2)
            x2, y2, n2 = pooled.pop()
            n = n1 + n2
            pooled.append([(x1 * n1 + x2 * n2) / n, (y1 * n1 + y2 * n2) / n, n])
    knots = np.array([0.0, *(each[0] for each in pooled), 1.0])
    values = np.array([LEAST, *(each[1] for each in pooled), MOST])
    values = np.maximum.accumulate(np.clip(values, LEAST, MOST))
    kept = np.concatenate([[True], np.diff(knots) > 1e-9])
    return knots[kept], values[kept]
