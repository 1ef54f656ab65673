"""Rows of toy numbers: who is above whom, and by how much."""

from __future__ import annotations

from typing import Any

import pytest

from agentforge.kit.evidence import claims
from agentforge.phase7_adas.experiments import algorithms
from agentforge.phase7_adas.experiments.algorithms import ALGORITHMS, SEEDS, TRIALS


def _told(shares: dict[str, float], order: float) -> dict[str, Any]:
    return {
        "space": 72,
        "shares": {name: {str(n): [shares[name]] * 20 for n in TRIALS} for name in ALGORITHMS},
        "tried": {name: [48] * 20 for name in ALGORITHMS},
        "latency": {"architectures": 24, "engine": "decoder", "repeats": 25},
        "rank_correlation": {"flops": order, "bytes_moved": 0.5},
    }


def test_an_algorithm_is_held_against_random_search() -> None:
    gains = (0.10, 0.11, 0.12)
    results = {
        str(seed): _told({"tpe": 0.8 + gain, "nsga2": 0.8 + (gain - 0.11), "random": 0.8}, 0.95)
        for seed, gain in zip(SEEDS, gains, strict=True)
    }
    tpe, nsga2, order = claims(algorithms.rows(results))
    assert (tpe.verdict, nsga2.verdict, order.verdict) == ("reached", "not reached", "reached")
    assert tpe.value == pytest.approx(0.11)
    assert len(tpe.beside) == len(TRIALS)
    assert len(nsga2.beside) == 2 * len(TRIALS) + len(ALGORITHMS)
    assert [row.value for row in order.beside] == [0.5]


def test_every_model_is_a_trial() -> None:
    assert [trial.key for trial in algorithms.trials()] == [str(seed) for seed in SEEDS]
