"""Settings that make no sense are refused by name, and the defaults are sound."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from agentforge.kit.config import resolved, validate_config
from agentforge.kit.errors import InvalidInput
from agentforge.phase5_training.config import PHASE, TrainingConfig

_FLAT = {"data": {"families": {"arithmetic": [2]}}}
BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"pace": {"kind": "fast"}}, "pace.kind", "stages"),
    ({"pace": {"kind": "stages", "warmup": {"share": 0.5}}}, "pace", "add up to 1.4"),
    ({"pace": {"kind": "stages"}, "train": {"steps": 3, "warmup": 0}}, "train.steps", "4 stages"),
    (
        {"pace": {"kind": "stages", "boundaries": "signal"}, "train": {"evaluate_every": 0, "patience": 0}},
        "pace.boundaries", "evaluate_every",
    ),
    ({"train": {"evaluate_every": 0}}, "train", "patience"),
    ({"train": {"rewind": {"slower": 0}}}, "train.rewind.slower", "greater than 0"),
    ({**_FLAT, "edge": {"kind": "edge"}}, "edge.kind", "nothing to steer"),
    ({"edge": {"low": 0.8}}, "edge", "empty"),
    ({"selfmodel": {"depths": [1.5]}}, "selfmodel.depths[0]", "less than 1"),
    ({"dreams": {"replayed": 1.5}}, "dreams.replayed", "1"),
    ({"quantised": {"scaling": "all"}}, "quantised.scaling", "update"),
    ({"rewards": {"answers": 1}}, "rewards.answers", "2"),
    ({"processes": 3}, "train.batch", "multiple of 3"),
    ({"processes": 2, "rewards": {"steps": 5, "prompts": 3, "answers": 3}}, "rewards.prompts", "multiple of 2"),
    ({"data": {"mix": {"poetry": 1}}}, "data.mix", "poetry"),
    ({"data": {"families": {"recall": []}, "mix": {"nested_drill": 1}}}, "data.mix", "nested"),
    ({"train": {"stepps": 3}}, "train.stepps", "steps"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "field", "named"), BAD)
def test_bad_settings(changes: dict[str, Any], field: str, named: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        validate_config(TrainingConfig, changes)
    (violation,) = caught.value.violations
    assert violation.field == field
    assert named in f"{violation.message} {violation.next_step}"


def test_own_defaults_hold_where_only_some_fields_are_set() -> None:
    config = validate_config(TrainingConfig, {"train": {"lr": 0.1}})
    assert (config.train.lr, config.train.checkpoint_every, config.train.evaluate_every) == (0.1, 1_000, 100)
    assert config.train.rewind.most == 3
    assert validate_config(TrainingConfig, resolved(config)) == config


def test_a_service_needs_no_torch() -> None:
    code = (
        "import sys; from agentforge.phase5_training.config import PHASE; "
        "from agentforge.kit.phase import load_object; load_object(PHASE.check); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert [(slot.name, slot.min_count) for slot in PHASE.takes] == [("model", 1), ("corpus", 0), ("tokens", 0)]
