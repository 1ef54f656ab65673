"""Runs of the phase on pico models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.attempts import Attempt, Record, given_model, with_changes

ENTRY = "agentforge.phase4_bitnet.config:PHASE"
FAMILIES = {"nested": [2], "recall": [2]}


def small(**changes: Any) -> Record:
    """A run of about a second."""
    config: Record = {
        "calibration": {"samples": 100, "batch": 16, "sensitivity": 10},
        "data": {"families": FAMILIES, "length": 28},
        "train": {"steps": 4, "batch": 4, "lr": 1e-2, "warmup": 1, "checkpoint_every": 2, "threads": 1},
        "warmup": 0.5,
        "rounds": 1,
        "evaluation": {"items": 10, "test_items": 10, "batch": 16},
    }
    return with_changes(config, changes)


def ask(home: Path, run_id: str, model: str = "titan", **changes: Any) -> Attempt:
    return Attempt.asked(ENTRY, home, run_id, [given_model(home, model)], small(**changes))
