"""Runs of the phase on pico models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.attempts import Attempt, Record, given_model, with_changes

ENTRY = "agentforge.phase3_quietstar.config:PHASE"
FAMILIES = {"nested": [2], "recall": [2]}
FEW = {"batch": 4, "lr": 1e-2, "warmup": 1, "checkpoint_every": 2, "threads": 1}
STAGES = ("thoughtless_worked", "thoughtless", "worked", "thinking")


def small(**changes: Any) -> Record:
    """A run of about a second."""
    config: Record = {
        "sampling": {"thoughts": 2, "length": 12},  # so many tokens have the steps of `nested`
        "ahead": 2,
        "data": {"families": FAMILIES, "worked": ["nested"], "length": 28},
        "worked": {"steps": 3, **FEW},
        "thinking": {"steps": 3, **FEW},
        "samples": 2,
        "evaluation": {"items": 10, "test_items": 10, "batch": 16},
    }
    return with_changes(config, changes)


def ask(home: Path, run_id: str, model: str = "titan", **changes: Any) -> Attempt:
    return Attempt.asked(ENTRY, home, run_id, [given_model(home, model)], small(**changes))
