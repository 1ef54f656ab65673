"""Settings that make no sense are refused by name, and the defaults are sound."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from agentforge.kit.config import resolved, validate_config
from agentforge.kit.errors import InvalidInput
from agentforge.phase4_bitnet.config import PHASE, BitNetConfig

BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"ternary": {"scale": "row"}}, "ternary.scale", "channel"),
    ({"ternary": {"scale": "group"}}, "ternary.group", "group of 0"),
    ({"ternary": {"group": 32}}, "ternary.group", "group of 32"),
    ({"calibration": {"samples": 99}}, "calibration.samples", "100"),
    ({"calibration": {"samples": 10_001}}, "calibration.samples", "10000"),
    ({"calibration": {"samples": 100, "batch": 101}}, "calibration.samples", "fewer than a batch of 101"),
    ({"calibration": {"high_precision": "all"}}, "calibration.high_precision", "measured"),
    ({"calibration": {"bound": 0}}, "calibration.bound", "greater than 0"),
    ({"loss": {"task": 0, "distillation": 0}}, "loss", "nothing would be learned"),
    ({"loss": {"temperature": 0}}, "loss.temperature", "0.1"),
    ({"warmup": 1.0}, "warmup", "0.9"),
    ({"data": {"families": {}}}, "data.families", "at least one family"),
    ({"data": {"families": {"poetry": []}}}, "data.families", "poetry"),
    ({"data": {"families": {"nested": [99]}}}, "data.families", "99"),
    ({"evaluation": {"items": 9}}, "evaluation.items", "10"),
    ({"bounds": {"accuracy": -0.1}}, "bounds.accuracy", "0"),
    ({"packing": {"packed": 4}}, "packing.packed", "1.6"),
    ({"packing": {"embeddings": 16}}, "packing.embeddings", "8"),
    ({"train": {"stepps": 3}}, "train.stepps", "steps"),
]


@pytest.mark.parametrize(("changes", "field", "named"), BAD)
def test_bad_settings(changes: dict[str, Any], field: str, named: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        validate_config(BitNetConfig, changes)
    (violation,) = caught.value.violations
    assert violation.field == field
    assert named in f"{violation.message} {violation.next_step}"


def test_own_defaults_hold_where_only_some_fields_are_set() -> None:
    config = validate_config(BitNetConfig, {"train": {"lr": 0.1}})
    assert (config.train.steps, config.train.lr, config.train.checkpoint_every) == (500, 0.1, 100)
    assert (config.bounds.accuracy, config.bounds.nats) == (0.07, 0.12)
    assert validate_config(BitNetConfig, resolved(config)) == config


def test_a_service_needs_no_torch() -> None:
    code = (
        "import sys; from agentforge.phase4_bitnet.config import PHASE; "
        "from agentforge.kit.phase import load_object; load_object(PHASE.check); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert [(slot.name, slot.min_count) for slot in PHASE.makes] == [("model", 1), ("packed", 0), ("gguf", 0)]


@pytest.mark.parametrize("given", [2, "2", 1.6, "1.6"])
def test_bits_are_taken_as_numbers_too(given: object) -> None:
    """--set packing.packed=2 gives a number."""
    assert validate_config(BitNetConfig, {"packing": {"packed": given}}).packing.packed == str(given)
