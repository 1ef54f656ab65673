"""The experiments' own logic, on raw results made up for these tests: nothing here is a measurement."""

from __future__ import annotations

from typing import Any

import pytest

from agentforge.cli.values import parse_settings
from agentforge.kit.config import validate_config
from agentforge.kit.evidence import claims
from agentforge.kit.phase import load_pipeline
from agentforge.kit.serve.validate import merged
from agentforge.phase1_cognate.config import SPECIALISTS, CognateConfig
from agentforge.phase1_cognate.experiments import size, specialists, trunk

FAMILY = dict(zip(SPECIALISTS, ("arithmetic", "recall", "nested"), strict=True))


def sized(**changes: Any) -> dict[str, Any]:
    return {
        "parameters": size.PARAMETERS, "shapes": {"a": [2, 3]}, "memory_slots": 2048, "act_threshold": 0.9,
        "file_bytes": 100_000_000, "saved": "x", "saved_again": "x", **changes,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "verdicts"),
    [
        ({}, ["reached", "reached", "reached", "reached"]),
        ({"parameters": size.PARAMETERS + 1}, ["refuted", "reached", "reached", "reached"]),
        ({"shapes": {"a": [3, 2]}}, ["reached", "not reached", "reached", "reached"]),
        ({"file_bytes": 130_000_000}, ["reached", "reached", "refuted", "reached"]),
        ({"saved_again": "y"}, ["reached", "reached", "reached", "not reached"]),
    ],
)
def test_one_specialist_that_differs_is_enough(changes: dict[str, Any], verdicts: list[str]) -> None:
    rows = size.rows(
        {"reasoning": sized(), "memory_integration": sized(**changes), "adaptive_computation": sized()}
    )
    assert [row.verdict for row in rows] == verdicts


def a_run(own: float, other: float, seconds: float) -> dict[str, Any]:
    names = (*SPECIALISTS, "trunk")
    return {
        "seconds": seconds, "family": FAMILY, "items": dict.fromkeys(FAMILY.values(), 250), "parameters": 1000.0,
        "accuracy": {n: {f: own if FAMILY.get(n) == f else other for f in FAMILY.values()} for n in names},
        "margin": dict.fromkeys(SPECIALISTS, own - other),
    }  # fmt: skip


def test_specialists_are_held_against_bar_others_and_clock() -> None:
    good = claims(specialists.rows({str(s): a_run(0.9, 0.1 + s / 1e5, 100) for s in specialists.SEEDS}))
    assert [row.verdict for row in good] == ["reached"] * 10
    assert [beside.claim for beside in good[0].beside] == [
        "trunk at arithmetic", "memory_integration at arithmetic", "adaptive_computation at arithmetic",
    ]  # fmt: skip
    bad = claims(
        specialists.rows({"1": a_run(0.5, 0.1, 200), "2": a_run(0.3, 0.4, 200), "3": a_run(0.4, 0.4, 200)})
    )
    assert {row.verdict for row in bad} == {"not reached"}


def test_one_weak_run_does_not_hide_in_the_mean() -> None:
    rows = specialists.rows({"1": a_run(1.0, 0.1, 100), "2": a_run(1.0, 0.1, 100), "3": a_run(0.5, 0.1, 100)})
    assert [row.verdict for row in claims(rows)][:2] == ["reached", "not reached"]


def merge(shared: float, independent: float) -> dict[str, dict[str, Any]]:
    parents = {name: {"a": 0.4, "b": 0.6} for name in SPECIALISTS}
    value = {"shared": shared, "independent": independent}
    return {
        trial.key: {
            "parents": parents,
            "merge": dict.fromkeys("ab", value[trial.arguments["init"]]),
            "items": {"a": 10, "b": 10},
        }
        for trial in trunk.trials()
    }


@pytest.mark.parametrize(
    ("shared", "independent", "verdicts"),
    [
        (0.6, 0.04, ["reached", "reached", "reached"]),
        (0.3, 0.04, ["reached", "refuted", "reached"]),
        (0.3, 0.3, ["refuted", "refuted", "refuted"]),
    ],
)
def test_merges_are_held_against_their_parents(shared: float, independent: float, verdicts: list[str]) -> None:
    assert [row.verdict for row in claims(trunk.rows(merge(shared, independent)))] == verdicts


def test_the_settings_of_the_merge_fit_the_phase() -> None:
    preset = load_pipeline().preset("tiny", "cognate")
    config = validate_config(CognateConfig, merged(preset, parse_settings(trunk.settings(42))))
    stages = {"trunk": config.trunk, **config.specialists}
    assert {name: stage.train.steps for name, stage in stages.items()} == trunk.STEPS
    assert len({stage.seed for stage in config.specialists.values()}) == 3
