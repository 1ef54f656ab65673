"""Settings that make no sense are refused by name, and the defaults are sound."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from agentforge.kit.config import resolved, validate_config
from agentforge.kit.errors import InvalidInput
from agentforge.kit.phase import load_pipeline
from agentforge.phase6_baking.config import BakingConfig

_NOBODY = {name: {"target": 0.0} for name in ("helpfulness", "creativity", "precision")}
BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"tools": {"names": ["calculator", "calculator"]}}, "tools.names", "twice"),
    ({"tools": {"names": ["oracle"]}}, "tools.names", "oracle"),
    ({"tools": {"names": ["calculator"]}}, "tools.families", "needs lookup"),
    ({"tools": {"names": ["calculator"], "families": {"recall": []}}}, "tools.families", "no tool"),
    ({"tools": {"families": {}}}, "tools.families", "none"),
    ({"tools": {"families": {"tool_oracle": []}}}, "tools.families", "tool_oracle"),
    ({"tools": {"names": []}, "persona": {"traits": _NOBODY}}, "tools.names", "neither"),
    ({"tools": {"calls": 0}}, "tools.calls", "1"),
    ({"persona": {"traits": {"charm": {"target": 1.0}}}}, "persona.traits.charm", "no such field"),
    ({"persona": {"traits": {"precision": {"target": 1.5}}}}, "persona.traits.precision.target", "1"),
    ({"bake": {"kind": "sideways"}}, "bake.kind", "forward"),
    ({"bake": {"kind": "monte_carlo", "samples": "student"}}, "bake", "teacher"),
    ({"cycles": {"outcomes": "wrong"}}, "cycles.outcomes", "right"),
    ({"following": {"plain": 0.0}}, "following.plain", "greater than 0"),
    ({"adapters": {"method": "magic"}}, "adapters.method", "linear"),
    ({"agents": {"memory_mb": 1}}, "agents.memory_mb", "64"),
    ({"processes": 3}, "train.batch", "multiple of 3"),
    ({"train": {"stepps": 3}}, "train.stepps", "steps"),
]


@pytest.mark.parametrize(("changes", "field", "named"), BAD)
def test_nonsense_is_refused_by_name(changes: dict[str, Any], field: str, named: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        validate_config(BakingConfig, changes)
    violation = caught.value.violations[0]
    assert violation.field == field
    assert named in f"{violation.message} {violation.next_step}"


def test_what_others_read_is_as_the_seeds_have_it() -> None:
    config = validate_config(BakingConfig, {})
    assert config.persona.traits.targets == {"helpfulness": 0.9, "creativity": 0.7, "precision": 0.8}
    assert config.tools.names == ["calculator", "lookup", "python"]
    assert validate_config(BakingConfig, resolved(config)) == config


def test_one_target_alone_can_be_set() -> None:
    config = validate_config(BakingConfig, {"persona": {"traits": {"creativity": {"target": 0.0}}}})
    assert config.persona.traits.wanted == ("helpfulness", "precision")


@pytest.mark.parametrize("preset", ["tiny", "small", "full"])
def test_presets_are_sound(preset: str) -> None:
    validate_config(BakingConfig, load_pipeline().preset(preset, "baking"))


def test_a_service_needs_no_torch() -> None:
    code = (
        "import sys, agentforge.phase6_baking.config, agentforge.phase6_baking.admission, "
        "agentforge.phase6_baking.experiments; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
