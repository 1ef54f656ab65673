"""Runs of the phase on pico models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentforge.kit.refs import ArtifactRef
from tests.attempts import Attempt, Record, given_model, with_changes

ENTRY = "agentforge.phase6_baking.config:PHASE"
FAMILIES = {"recall": [2]}
TASKS = {"tool_calculator": [1]}

_TRAINING = {"batch": 4, "schedule": "constant", "warmup": 0, "threads": 1}


def small(**changes: Any) -> Record:
    """Tools and a persona, a few steps each. A pico model is never right, so all that it says is baked."""
    config: Record = {
        "data": {"families": FAMILIES, "length": 120},
        "tools": {"names": ["calculator"], "families": TASKS, "prompt": "<|system|>tools\n"},
        "persona": {
            "prefix": "<|persona|>me<|/persona|>\n",
            "resamples": 50,
            "probe": {"replies": 200, "held_out": 200, "least_accuracy": 0.5, "steps": 60},
        },
        "following": {"steps": 4, "checkpoint_every": 2, **_TRAINING},
        "train": {"steps": 3, "checkpoint_every": 2, **_TRAINING},
        "cycles": {"most": 2, "questions": 8, "outcomes": "all"},
        "agents": {"wait_s": 0.01},
        "evaluation": {"items": 10, "test_items": 10, "batch": 64, "dialogues": 2},
    }
    return with_changes(config, changes)


def ask(home: Path, run_id: str, model: str = "titan", more: Sequence[ArtifactRef] = (), **changes: Any) -> Attempt:
    return Attempt.asked(ENTRY, home, run_id, [given_model(home, model), *more], small(**changes))
