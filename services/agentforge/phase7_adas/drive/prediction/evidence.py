"""How well each way of foreseeing does on scenes that nothing was learned from: errors, misses, what it costs.

Every method gives K ways; only tracks that were a body's, and moved or would move, are scored.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.agent import Moving
from agentforge.phase7_adas.drive.messages import PREDICTION_STEPS, Predictions
from agentforge.phase7_adas.drive.orchestrator.standins import straight_on
from agentforge.phase7_adas.drive.prediction.agent import Prediction
from agentforge.phase7_adas.drive.prediction.data import Scene, held_out, scenes
from agentforge.phase7_adas.drive.prediction.rows import STANDS_M
from agentforge.phase7_adas.drive.prediction.speaker import Speaks
from agentforge.phase7_adas.drive.truth import Floats

MISS_M: Final = 2.0
EVERY_TICKS: Final = 10
DRAWS: Final = 1000
METHODS: Final = ("constant velocity", "imm", "lm")


def measure_prediction(
    seed: int, *, many: int = 12, methods: Sequence[str] = METHODS, model: Speaks | None = None
) -> dict[str, Any]:
    """On `many` held-out scenes from this seed on."""
    return measure_on(list(scenes(seed, many, learned=False)), seed, methods, model)


def measure_on(
    given: Sequence[Scene], seed: int, methods: Sequence[str] = METHODS, model: Speaks | None = None
) -> dict[str, Any]:
    if not all(held_out(scene.seed) for scene in given):
        raise ValueError("a scene that may have been learned from is no test")
    found: dict[str, Any] = {"scenes": len(given)}
    for method in methods:
        parts = [_scene(scene, method, model) for scene in given]
        errors = [part for part, _ in parts if len(part)]
        ms = np.concatenate([took for _, took in parts])
        found[method] = {
            "tracks": sum(len(part) for part in errors),
            **_summary(errors, seed),
            "median_ms": float(np.median(ms)),
            "p99_ms": float(np.percentile(ms, 99)),
        }
    return found


def _scene(scene: Scene, method: str, model: Speaks | None) -> tuple[Floats, Floats]:
    """Rows of minADE, minFDE, missed, the likeliest way's FDE, its squared error over its variance; and ms."""
    agent = Prediction("lm" if method == "lm" else "imm", model)
    rows, took = [np.zeros((0, 5))], []
    for tick in range(scene.scored_ticks.stop):
        tracks = scene.tracks[tick]
        begun = time.thread_time()
        if method == "constant velocity":
            told = straight_on(tracks)
        elif method == "lm" and tick % EVERY_TICKS:
            agent.feel(Moving(tracks, scene.road))
            continue
        else:
            told = agent.step(Moving(tracks, scene.road))
        took.append(1e3 * (time.thread_time() - begun))
        if tick in scene.scored_ticks and tick % EVERY_TICKS == 0 and len(tracks.id_N):
            future, body = scene.future(tick)
            past = scene.xy_TB2[tick - 20][body]
            reach = np.maximum(
                np.linalg.norm(future[:, -1] - future[:, 0], axis=1), np.linalg.norm(future[:, 0] - past, axis=1)
            )
            rows.append(_errors(told, future)[(body >= 0) & (reach > STANDS_M)])
    return np.concatenate(rows), np.array(took)


def _errors(told: Predictions, future_NT2: Floats) -> Floats:
    away = np.linalg.norm(told.xy_NKT2 - future_NT2[:, None], axis=3)
    last = away[:, :, PREDICTION_STEPS - 1]
    likeliest = told.probability_NK.argmax(axis=1)
    row = np.arange(len(last))
    sigma = told.sigma_NKT[row, last.argmin(axis=1), -1]
    best = last.min(axis=1)
    return np.stack(
        [away.mean(axis=2).min(axis=1), best, best > MISS_M, last[row, likeliest], best**2 / (2 * sigma**2)], axis=1
    )


def _summary(scenes: Sequence[Floats], seed: int) -> dict[str, Any]:
    """Means over tracks, with 95 % intervals by drawing scenes: tracks of one scene are no independent samples."""
    rng = Rng(seed, "adas/drive/prediction/bootstrap").numpy()
    sums, counts = np.array([part.sum(axis=0) for part in scenes]), np.array([len(part) for part in scenes])
    drawn = rng.integers(0, len(scenes), (DRAWS, len(scenes)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)[:, None]
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    names = ("min_ade_m", "min_fde_m", "miss_rate", "likeliest_fde_m", "error_over_sigma_squared")
    total = sums.sum(axis=0) / counts.sum()
    return {name: (float(total[at]), float(low[at]), float(high[at])) for at, name in enumerate(names)}
