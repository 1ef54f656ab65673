"""What Cognate refuses, and that its presets are what it takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import agentforge
from agentforge.kit.config import validate_config
from agentforge.kit.errors import InvalidInput
from agentforge.phase1_cognate.config import PHASE, CognateConfig

PRESETS = Path(agentforge.__file__).parent / "presets"


@pytest.mark.parametrize("name", ["tiny", "small", "full"])
def test_presets_are_valid(name: str) -> None:
    config = validate_config(CognateConfig, yaml.safe_load((PRESETS / f"{name}.yaml").read_text())["cognate"])
    assert {each.seed for each in config.specialists.values()} == {42, 1337, 2023}
    assert {each.act_threshold for each in config.specialists.values()} == {0.9, 0.95, 0.99}


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"trunk": {"mix": {"arithmetik": 1}}}, "trunk.mix"),
        ({"trunk": {"mix": {"text": 0}}}, "trunk.mix"),
        ({"trunk": {"mix": {"text": -1}}}, "trunk.mix"),
        ({"data": {"difficulties": {"nested": [9]}}}, "data.difficulties"),
        ({"data": {"vocabulary": 100}}, "data.vocabulary"),
        ({"reasoning": {"family": "poetry"}}, "reasoning.family"),
        ({"reasoning": {"train": {"patience": 2}}}, "reasoning.train"),
        ({"trunk": {"train": {"steps": 10, "warmup": 10}}}, "trunk.train"),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        validate_config(CognateConfig, values)
    assert caught.value.violations[0].field == field


def test_two_specialists_of_one_family_are_refused() -> None:
    with pytest.raises(InvalidInput, match="same family"):
        validate_config(CognateConfig, {"reasoning": {"family": "recall"}})


def test_a_service_needs_no_torch() -> None:
    code = "import sys; from agentforge.phase1_cognate.config import PHASE; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert PHASE.run.startswith("agentforge.phase1_cognate")
