"""Runs of the phase on pico models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.attempts import Attempt, Record, given_model, with_changes

ENTRY = "agentforge.phase7_adas.config:PHASE"

_TRAINING = {"batch": 4, "warmup": 0, "threads": 1}


def small(**changes: Any) -> Record:
    """A few candidates, healed a little; a pico model is never right, so nothing can be lost."""
    config: Record = {
        "data": {"families": {"recall": [2]}, "length": 40},
        "search": {
            "trials": 3, "batch": 3, "population": 2, "items": 10, "confirm_items": 10,
            "calibration": 8, "repeats": 3,
            "healing": {"steps": 2, **_TRAINING},
            "final": {"steps": 3, "checkpoint_every": 2, **_TRAINING},
            "budgets": {"accuracy_lost": 1.0, "nats_lost": None},
        },
        "export": {"int8": {"items": 8, "sensitivity": 2}},
        "package": {"prompts": 2, "tokens": 4},
        "profile": {"steps": 5, "devices": ["agx-xavier"], "this_cpu": False},
        "evaluation": {"test_items": 10},
    }  # fmt: skip
    return with_changes(config, changes)


def ask(home: Path, run_id: str, model: str = "titan", **changes: Any) -> Attempt:
    return Attempt.asked(ENTRY, home, run_id, [given_model(home, model)], small(**changes))
