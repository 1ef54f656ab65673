"""Runs of the phase on pico models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.attempts import Attempt, Record, given_model, with_changes

ENTRY = "agentforge.phase8_compression.config:PHASE"
_TRAINING = {"batch": 4, "warmup": 0, "threads": 1}


def small(**changes: Any) -> Record:
    """A few candidates, healed a little; a pico model is never right, so nothing can be lost."""
    config: Record = {
        "data": {"families": {"recall": [2]}, "length": 40},
        "space": {
            "mlp": [0.5], "sparsity": ["0.5"], "embeddings": ["grid8", "grid4"], "linears": ["grid4", "gptq4"],
        },
        "search": {"trials": 4, "batch": 2, "population": 2, "items": 10, "confirm_items": 10, "calibration": 8},
        "healing": {"steps": 2, **_TRAINING},
        "final": {"steps": 3, "checkpoint_every": 2, **_TRAINING},
        "formats": {"make": ["huggingface", "onnx"], "items": 4},
        "evaluation": {"test_items": 10, "steps": 5},
    }  # fmt: skip
    return with_changes(config, changes)


def ask(home: Path, run_id: str, model: str = "titan", **changes: Any) -> Attempt:
    return Attempt.asked(ENTRY, home, run_id, [given_model(home, model)], small(**changes))
