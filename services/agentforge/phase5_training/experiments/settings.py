"""What the experiments switch: the tiny preset with everything optional off, and each part alone. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentforge.kit.config import resolved, validate_config
from agentforge.kit.phase import load_pipeline
from agentforge.phase5_training.config import TrainingConfig

Fields = Mapping[str, Any]

EVERY = 10  # steps between selection losses
_WHOLE = 4 * EVERY  # steps are a multiple of it, so that a selection loss is measured at three quarters
_WEIGHT = 1.0  # in the mix, of a family that the preset shows by its drill alone


def preset() -> dict[str, Any]:
    """All fields of the tiny preset's training, and what a measurement in a process of its own needs."""
    config = validate_config(TrainingConfig, load_pipeline().preset("tiny", "training"))
    train = {"threads": 1, "checkpoint_every": 0}
    return merged(resolved(config), {"train": train, "evaluation": {"batch": 256}})


def merged(values: Fields, *changes: Fields) -> dict[str, Any]:
    """One level deep, as configs are."""
    found = dict(values)
    for changed in changes:
        for name, fields in changed.items():
            found[name] = {**found.get(name, {}), **fields} if isinstance(fields, Mapping) else fields
    return found


def few_steps(values: Fields, share: float) -> int:
    """So much of the preset's training."""
    whole: int = values["train"]["steps"]
    return max(1, round(whole * share / _WHOLE)) * _WHOLE


def plain(values: Fields, steps: int, test_items: int) -> dict[str, Any]:
    """Nothing beside the loop: the rate rises in a twentieth of the steps, and falls in the last half."""
    schedule = {"schedule": "wsd", "warmup": steps // 20, "decay": 0.5, "floor": 0.0}
    off = {"weight_decay": 0.0, "grokfast": {"filter": "none"}, "patience": 0}
    return merged(
        values,
        {
            "pace": {"kind": "none"}, "edge": {"kind": "uniform"}, "selfmodel": {"weight": 0.0},
            "dreams": {"every": 0}, "quantised": {"regulariser": 0.0, "scaling": "none"}, "rewards": {"steps": 0},
            "train": {"steps": steps, "evaluate_every": EVERY, **schedule, **off},
            "evaluation": {"items": 30, "test_items": test_items},
        },
    )  # fmt: skip


def steerable(values: Fields) -> dict[str, Any]:
    """What puts families with several difficulties into the mix as items, where drills alone stand for them."""
    data = values["data"]
    missing = [name for name, levels in data["families"].items() if len(set(levels)) > 1 and not _shown(data, name)]
    return {"data": {"mix": {**data["mix"], **dict.fromkeys(missing, _WEIGHT)}}} if missing else {}


def _shown(data: Fields, family: str) -> bool:
    return not data["mix"] or bool(data["mix"].get(family))
