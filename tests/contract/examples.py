"""What the suite runs each phase with: a small config and inputs made on the spot. One line for a new phase."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentforge.kit.phase import PIPELINE_VARIABLE, PhaseSpec, load_object
from agentforge.kit.refs import ArtifactRef
from tests import pico
from tests.harness import TEST_PIPELINE


@dataclass(frozen=True)
class Example:
    """`config` is small but takes long enough to be killed on the way. `kills` is how often that is done: each time
    a real phase takes seconds to import what it needs."""

    preset: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    kills: int = 1


_FEW_STEPS = {"steps": 7, "batch": 4, "warmup": 2, "checkpoint_every": 3, "threads": 1}
_COGNATE = {
    "model": {"num_hidden_layers": 1},
    "data": {"vocabulary": 320, "every": 40},
    **{
        stage: {"train": _FEW_STEPS}
        for stage in ("trunk", "reasoning", "memory_integration", "adaptive_computation")
    },
    "evaluation": {"items": 12, "texts": 2, "text_bytes": 300},
}

_EVOMERGE = {
    "strict": False,
    "base": "mean",
    "generations": 15,
    "patience": 0,
    "threads": 1,
    "evaluation": {"families": {"recall": [2]}, "items": 20, "test_items": 20, "layer_items": 4},
}

_QUIETSTAR_TRAINING = {"batch": 8, "warmup": 2, "checkpoint_every": 5, "threads": 1}
_QUIETSTAR = {
    "sampling": {"thoughts": 2, "length": 12},
    "ahead": 2,
    "data": {"families": {"nested": [2], "recall": [2]}, "worked": ["nested"], "length": 28},
    "worked": {"steps": 12, **_QUIETSTAR_TRAINING},
    "thinking": {"steps": 12, **_QUIETSTAR_TRAINING},
    "keep": "thinking",
    "evaluation": {"items": 10, "test_items": 10},
}

_BITNET = {
    "calibration": {"samples": 100, "batch": 16, "sensitivity": 10},
    "data": {"families": {"nested": [2], "recall": [2]}, "length": 28},
    "train": {"steps": 30, "batch": 8, "warmup": 2, "checkpoint_every": 5, "threads": 1},
    "evaluation": {"items": 10, "test_items": 10},
}

_TRAINING = {
    "data": {"families": {"nested": [1, 2], "recall": [2]}, "length": 28},
    "train": {"steps": 60, "batch": 8, "checkpoint_every": 10, "evaluate_every": 20, "threads": 1},
    "pace": {"kind": "stages"},
    "edge": {"kind": "edge", "every": 20, "items": 8, "settling": 1},
    "selfmodel": {"weight": 0.0},  # the model has one layer
    "dreams": {"every": 12, "steps": 3, "prompts": 8},
    "evaluation": {"items": 10, "test_items": 10},
}

_BAKING_TRAINING = {"batch": 4, "warmup": 2, "checkpoint_every": 5, "threads": 1}
_BAKING = {
    "data": {"families": {"recall": [2]}, "length": 120},
    "tools": {"names": ["calculator"], "families": {"tool_calculator": [1]}, "prompt": "<|system|>tools\n"},
    "persona": {"traits": {name: {"target": 0.0} for name in ("helpfulness", "creativity", "precision")}},
    "following": {"steps": 10, **_BAKING_TRAINING},
    "train": {"steps": 10, **_BAKING_TRAINING},
    "cycles": {"most": 1, "questions": 8, "outcomes": "all"},
    "evaluation": {"items": 10, "test_items": 10, "dialogues": 2},
}

_ADAS_TRAINING = {"batch": 4, "warmup": 1, "threads": 1}
_ADAS = {
    "data": {"families": {"recall": [2]}, "length": 28},
    "search": {
        "trials": 4, "batch": 2, "population": 2, "items": 10, "calibration": 8, "repeats": 3,
        "healing": {"steps": 3, **_ADAS_TRAINING},
        "final": {"steps": 8, "checkpoint_every": 3, **_ADAS_TRAINING},
    },
    "export": {"int8": {"items": 8, "sensitivity": 0}},
    "package": {"prompts": 2, "tokens": 4},
    "profile": {"steps": 5, "devices": ["agx-xavier"], "this_cpu": False},
    "evaluation": {"test_items": 10},
}  # fmt: skip

_COMPRESSION = {
    "data": {"families": {"recall": [2]}, "length": 28},
    "space": {"mlp": [0.5], "sparsity": [], "embeddings": ["grid4"], "linears": ["grid4"]},
    "search": {"trials": 4, "batch": 2, "population": 2, "items": 10, "confirm_items": 10, "calibration": 8},
    "healing": {"steps": 3, **_ADAS_TRAINING},
    "final": {"steps": 8, "checkpoint_every": 3, **_ADAS_TRAINING},
    "formats": {"make": ["huggingface"], "items": 4},
    "evaluation": {"test_items": 10, "steps": 5},
}

EXAMPLES = {
    "echo": Example(config={"samples": 2000}, kills=4),
    "count": Example(config={"n": 40, "every": 2, "step_s": 0.02}, kills=12),
    "cognate": Example(preset="tiny", config=_COGNATE),
    "evomerge": Example(config=_EVOMERGE),
    "quietstar": Example(config=_QUIETSTAR),
    "bitnet": Example(config=_BITNET),
    "training": Example(config=_TRAINING),
    "baking": Example(config=_BAKING),
    "adas": Example(config=_ADAS),
    "compression": Example(config=_COMPRESSION),
}
"""Phases that are not named here run on their `tiny` preset."""

NOT_TO_SUCCEED = {"fail", "leak"}
"""Test phases that are made to go wrong: tests/unit/kit covers them."""


def pipelines() -> tuple[str, ...]:
    """The installed pipeline and the one of test phases; or the one that AGENTFORGE_PIPELINE names."""
    named = os.environ.get(PIPELINE_VARIABLE)
    return (named,) if named else (TEST_PIPELINE, "agentforge.pipeline")


def phases() -> list[tuple[str, PhaseSpec]]:
    """Every registered phase, with the module of its pipeline."""
    found = [(module, spec) for module in pipelines() for spec in load_object(f"{module}:PIPELINE")]
    return [(module, spec) for module, spec in found if spec.name not in NOT_TO_SUCCEED]


def example(phase: str) -> Example:
    return EXAMPLES.get(phase, Example(preset="tiny"))


def inputs_for(spec: PhaseSpec, home: Path) -> list[ArtifactRef]:
    """An input for each place that must be filled, lying where a user would put it: anywhere on the volume."""
    refs = []
    for slot in spec.takes:
        for number in range(slot.min_count):
            name = slot.name if slot.min_count == 1 else f"{slot.name}-{number}"
            place = home / "mine" / name
            place.mkdir(parents=True)
            MAKERS[slot.kind](place)
            refs.append(ArtifactRef(name, slot.kind, f"mine/{name}", ""))
    return refs


def _text(place: Path) -> None:
    (place / "text.txt").write_text("one, two, three")


MAKERS: dict[str, Callable[[Path], None]] = {
    "text": _text,
    "corpus": _text,
    "model": pico.branch,
    "trunk": pico.branch,
}
"""Artifact kind to what writes the smallest one of it."""
