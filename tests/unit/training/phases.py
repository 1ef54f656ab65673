"""Runs of the phase on pico models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentforge.kit.refs import ArtifactRef
from tests.attempts import Attempt, Record, given_model, with_changes

ENTRY = "agentforge.phase5_training.config:PHASE"
FAMILIES = {"nested": [1, 2], "recall": [2]}

# Everything on, in a run of a second or two.
ALL: Record = {
    "train": {
        "steps": 12, "evaluate_every": 3, "patience": 4, "grokfast": {"filter": "ema"}, "rewind": {"every": 5},
    },
    "pace": {"kind": "stages", "boundaries": "signal", "evaluations": 1},
    "edge": {"kind": "edge", "every": 4, "items": 8, "settling": 2},
    "selfmodel": {"weight": 0.1},
    "dreams": {"every": 3, "steps": 2, "replayed": 0.5, "anchor": 0.1, "memory": 16, "prompts": 8, "batch": 8},
    "quantised": {"regulariser": 0.1, "scaling": "update"},
    "rewards": {"steps": 2, "prompts": 2, "answers": 2, "kl": 0.1, "resampling": 1},
}  # fmt: skip


def small(**changes: Any) -> Record:
    """A run of about a second, with nothing switched on."""
    config: Record = {
        "data": {"families": FAMILIES, "length": 28},
        "train": {
            "steps": 6, "batch": 4, "lr": 1e-2, "checkpoint_every": 2, "threads": 1, "evaluate_every": 2,
            "schedule": "constant", "warmup": 0,
        },
        "pace": {"kind": "none"},
        "edge": {"kind": "uniform"},
        "selfmodel": {"weight": 0.0},
        "dreams": {"every": 0},
        "quantised": {"scaling": "none"},
        "evaluation": {"items": 10, "test_items": 10, "batch": 16},
    }  # fmt: skip
    return with_changes(config, changes)


def ask(home: Path, run_id: str, model: str = "titan", more: Sequence[ArtifactRef] = (), **changes: Any) -> Attempt:
    return Attempt.asked(ENTRY, home, run_id, [given_model(home, model), *more], small(**changes))
