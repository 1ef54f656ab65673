"""The tiny preset in a fraction of its time: fewer steps, items and trials, and nothing else.

All that the phases do, they do; what they reach is of no interest here. AGENTFORGE_COMPOSE_WHOLE=1 leaves the
preset as it is (948 s on two idle cores, and the tests run it twice).
"""

from __future__ import annotations

import os
from typing import Any

_STAGE = {"steps": 20, "batch": 16, "warmup": 2, "checkpoint_every": 5, "threads": 1}
_SHORT: dict[str, Any] = {
    "cognate": {
        "trunk": {"train": _STAGE},
        "reasoning": {"train": _STAGE},
        "memory_integration": {"train": _STAGE},
        "adaptive_computation": {"train": _STAGE},
        "evaluation": {"items": 20, "texts": 2, "text_bytes": 300},
    },
    "evomerge": {
        "strict": False, "generations": 6,
        "evaluation": {"items": 20, "test_items": 20, "layer_items": 4},
    },
    "quietstar": {
        "worked": {"steps": 4, "warmup": 1, "checkpoint_every": 2},
        "thinking": {"steps": 4, "batch": 8, "warmup": 1, "checkpoint_every": 2},
        "evaluation": {"items": 10, "test_items": 10},
    },
    "bitnet": {
        "calibration": {"samples": 100, "batch": 16, "sensitivity": 8},
        "train": {"steps": 20, "batch": 16, "warmup": 2, "checkpoint_every": 5},
        "evaluation": {"items": 10, "test_items": 10},
    },
    "training": {
        "train": {"steps": 120, "batch": 16, "evaluate_every": 40, "checkpoint_every": 10},
        "evaluation": {"items": 10, "test_items": 10},
    },
    "baking": {
        "following": {"steps": 8, "batch": 8, "warmup": 2, "threads": 1},
        "train": {"steps": 6, "batch": 8, "threads": 1},
        "cycles": {"questions": 16},
        "evaluation": {"items": 10, "test_items": 10, "batch": 64},
    },
    "adas": {
        "search": {
            "trials": 4, "batch": 2, "population": 2, "items": 10, "confirm_items": 20, "finalists": 1,
            "calibration": 8, "repeats": 3,
            "healing": {"steps": 2, "batch": 8, "warmup": 1},
            "final": {"steps": 4, "batch": 8, "warmup": 1},
        },
        "export": {"int8": {"items": 8, "sensitivity": 0}},
        "profile": {"steps": 5},
        "evaluation": {"test_items": 10},
    },
    "compression": {
        "search": {"trials": 4, "batch": 2, "population": 2, "items": 10, "confirm_items": 10, "calibration": 8},
        "healing": {"steps": 2, "batch": 8, "warmup": 1},
        "final": {"steps": 4, "batch": 8, "warmup": 1},
        "formats": {"items": 4},
        "evaluation": {"test_items": 10, "steps": 5},
    },
}  # fmt: skip


def overrides() -> dict[str, Any]:
    return {} if os.environ.get("AGENTFORGE_COMPOSE_WHOLE") == "1" else _SHORT
