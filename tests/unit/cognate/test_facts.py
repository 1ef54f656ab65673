"""The task of the memory experiments, and what their rows make of raw numbers."""

from typing import Any

import pytest
import torch

from agentforge.data.splits import Split, split_of
from agentforge.kit.rng import Rng
from agentforge.phase1_cognate.experiments import needle, slots
from agentforge.phase1_cognate.experiments.facts import KINDS, NOISE, SEEDS, VALUE, Rows
from agentforge.phase1_cognate.experiments.recalling import canonical, draw


@pytest.mark.parametrize("scattered", [False, True])
def test_each_fact_is_told_once_and_asked_once(scattered: bool) -> None:
    rows = Rows(4, 40, scattered)
    row_BT, label_BT = draw(rows, 50, Split.TEST, Rng(0, "test").torch())
    assert row_BT.shape == label_BT.shape == (50, 48 + 8)
    for row, label in zip(row_BT.tolist(), label_BT.tolist(), strict=True):
        told = {row[i]: row[i + 1] for i in range(48) if row[i] < KINDS}
        asked = dict(zip(row[48::2], row[49::2], strict=True))
        assert told == asked
        assert len(told) == 4
        assert all(VALUE <= value < NOISE for value in told.values())
        assert sum(token >= NOISE for token in row) == 40
        assert [token for token in label if token != -100] == row[49::2]
        assert label[49::2] == row[49::2]
        keys, values = torch.tensor(list(told)), torch.tensor(list(told.values()))
        assert split_of(canonical(keys, values)) is Split.TEST


def test_scattered_facts_stand_anywhere_and_others_first() -> None:
    near, _ = draw(Rows(2, 60, scattered=False), 200, Split.TRAIN, Rng(0, "test").torch())
    far, _ = draw(Rows(2, 60, scattered=True), 200, Split.TRAIN, Rng(0, "test").torch())
    assert (near[:, 4:64] >= NOISE).all()
    assert (far[:, :64] < KINDS).any(0)[::2].all()


def _result(accuracy: float, speed: float) -> dict[str, Any]:
    return {"accuracy": accuracy, "parameters": 1, "tokens": 1, "curve": {"1": speed}}


@pytest.mark.parametrize(
    ("without", "verdict"),
    [((0.8, 0.8, 0.9), "refuted"), ((0.6, 0.6, 0.9), "not reached"), ((0.6, 0.6, 0.5), "reached")],
)
def test_needle_calls_refuted_only_what_clearly_costs(without: tuple[float, ...], verdict: str) -> None:
    results = {trial.key: _result(0.99, 0.7) for trial in needle.trials()}
    for seed, speed in zip(SEEDS, without, strict=True):
        results[f"no_memory/{seed}"] = _result(0.04, 0.03)
        results[f"no_momentum/{seed}"] = _result(0.99, speed)
    verdicts = [row.verdict for row in needle.rows(results) if row.verdict]
    assert verdicts == ["reached", "reached", "reached", verdict, "not reached"]


def test_slots_needs_the_rule_to_beat_both_others() -> None:
    accuracy = {"surprise_novelty": 0.95, "fifo": 0.2, "random": 0.96}
    results = {trial.key: _result(accuracy[trial.arguments["rule"]], 0.5) for trial in slots.trials()}
    verdicts = [row.verdict for row in slots.rows(results) if row.verdict]
    assert verdicts == ["reached", "reached", "not reached"]
