"""The batches of the evidence's sequence of families, and what is made of its numbers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from agentforge.phase5_training.configs.edge import EdgeConfig
from agentforge.phase5_training.dreams import Memory
from agentforge.phase5_training.experiments import controller, forgetting
from agentforge.phase5_training.experiments.lost import InTurns
from tests.unit.training import parts
from tests.unit.training.test_dreams import line, lines


def turns() -> InTurns:
    sources = [parts.rows("copy"), parts.rows("arithmetic")]
    return InTurns(sources, rows=4, pad=parts.codec().pad, seed=1)


def test_a_memory_finds_the_rows_that_passed() -> None:
    batches, passed = turns(), []
    memory = Memory([parts.rows("copy"), parts.rows("arithmetic")], 100, 1)
    for place in (0, 0, 1, 1, 0):
        batches.place = place
        batch = next(batches)
        assert set(batch.source.tolist()) == {place}
        memory.see(batch.source)
        passed += lines(batch)
    assert [line(memory.row(each)) for each in memory.references] == passed


def test_they_go_on_from_their_state() -> None:
    one, other = turns(), turns()
    next(one)
    one.place = 1
    next(one)
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert lines(next(other)) == lines(next(one))


def _told(old: float, new: float) -> dict[str, Any]:
    return {"curve": [{"step": 300, "copy": old, "reverse": new}], "kept": []}


def test_forgetting_is_measured_against_none() -> None:
    ways = {name: _told(0.5, 0.9) for name in forgetting.WAYS} | {forgetting.NONE: _told(0.1, 0.95)}
    raw = {"before": {"copy": 0.9, "reverse": 0.0}, "ways": ways}
    found = {row.claim: row for row in forgetting.rows({f"ternary/{seed}": raw for seed in range(2)})}
    halved = found[f"ternary, {forgetting.FIFTH}: forgetting is at least halved"]
    assert halved.value == pytest.approx(0.5)
    assert found[f"ternary, {forgetting.FIFTH}: cost in reverse"].value == pytest.approx(0.05)
    assert "dreams 20%" in halved.method


def test_time_in_band_is_of_what_follows_the_settling() -> None:
    curve = [
        {"step": step, "family": "copy", "success": success} for step, success in ((0, 1), (25, 0.6), (50, 0.8))
    ]
    assert controller.in_band(curve, EdgeConfig(), None) == 0.5
    drawn = np.random.default_rng(1).binomial(128, 0.65, 20_000) / 128
    assert controller.perfect(EdgeConfig(), 128) == pytest.approx(
        np.mean((drawn >= 0.55) & (drawn <= 0.75)), abs=0.004
    )
