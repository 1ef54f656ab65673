"""Runs of the phase in seconds: nothing is learned, everything is gone through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agentforge.kit.artifacts import describe
from agentforge.kit.rundir import RunDirectory
from tests.attempts import Attempt

ENTRY = "agentforge.phase1_cognate.config:PHASE"
OUTPUTS = ("adaptive_computation", "memory_integration", "reasoning", "trunk")
PLAIN = {"memory": False, "act": False, "recursion": False, "persistent_tokens": 0}


def tiny(**changes: Any) -> dict[str, Any]:
    """Seven steps a stage."""
    train = {"steps": 7, "batch": 4, "warmup": 2, "checkpoint_every": 3, "threads": 1}
    return {
        "model": {"size": "tiny", "num_hidden_layers": 1, **PLAIN, "embedding_std": 0.1},
        "data": {"vocabulary": 320, "every": 40, "corpus": "docstrings", "text_length": 24, "task_length": 32},
        "trunk": {"train": train, "mix": {"text": 1, "arithmetic": 1, "recall_drill": 1, "nested_drill": 1}},
        "reasoning": {"train": train, "mix": {"arithmetic": 1}},
        "memory_integration": {"train": train, "mix": {"recall": 1}, "family": "recall", "seed": 1337},
        "adaptive_computation": {"train": train, "mix": {"nested": 1}, "family": "nested", "seed": 2023},
        "evaluation": {"items": 12, "texts": 2, "text_bytes": 300},
        **changes,
    }


def ask(home: Path, run_id: str, **changes: Any) -> Attempt:
    home.mkdir(exist_ok=True)
    return Attempt.asked(ENTRY, home, run_id, (), tiny(**changes))


def digests(run: RunDirectory) -> dict[str, str]:
    places = [each.relative_to(run.home).as_posix() for each in sorted(run.output_path.iterdir())]
    return {Path(place).name: describe(run.home, place, Path(place).name, "model").sha256 for place in places}
