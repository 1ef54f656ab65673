"""Configs: strict, with errors that name the field and the way out; hostile input is cheap to refuse."""

from __future__ import annotations

import datetime
import json
import time
import tracemalloc
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from agentforge.kit.config import PhaseConfig, StrictModel, resolved, validate_config
from agentforge.kit.errors import ForgeError, InvalidInput
from agentforge.kit.plainjson import MAX_CONFIG_BYTES, MAX_VIOLATIONS, to_plain_json


class Optimizer(StrictModel):
    learning_rate: float = Field(1e-3, gt=0, le=1)
    betas: tuple[float, float] = (0.9, 0.95)


class Config(PhaseConfig):
    steps: int = Field(10, ge=1, le=1000)
    mode: Literal["fast", "slow"] = "fast"
    label: str = ""
    sizes: list[int] = Field([])
    table: dict[str, float] = Field({})
    optimizer: Optimizer = Optimizer()


def refused(values: Any, **options: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        validate_config(Config, values, **options)
    return caught.value


def test_defaults_and_resolution() -> None:
    config = validate_config(Config, {})
    assert config == Config()
    values = resolved(config)
    assert values["seed"] == 42
    assert values["optimizer"] == {"learning_rate": 1e-3, "betas": [0.9, 0.95]}
    assert validate_config(Config, json.loads(json.dumps(values))) == config


def test_a_double_is_an_integer_only_when_exact() -> None:
    config = validate_config(Config, {"steps": 3.0, "sizes": [1.0, 2]})
    assert (config.steps, config.sizes) == (3, [1, 2])
    assert isinstance(config.steps, int)
    assert validate_config(Config, {"optimizer": {"learning_rate": 1.0}}).optimizer.learning_rate == 1.0
    error = refused({"steps": 3.5})
    assert (error.field, error.reason) == ("steps", "INVALID_VALUE")
    assert "3.5" in error.message


@pytest.mark.parametrize(
    ("values", "field", "reason", "hint"),
    [
        ({"stpes": 3}, "stpes", "UNKNOWN_FIELD", "'steps'"),
        ({"optimizer": {"learning_rat": 1}}, "optimizer.learning_rat", "UNKNOWN_FIELD", "'learning_rate'"),
        ({"zzz": 3}, "zzz", "UNKNOWN_FIELD", "Known fields: label"),
        ({"steps": 0}, "steps", "INVALID_VALUE", ""),
        ({"steps": "3"}, "steps", "INVALID_VALUE", ""),
        ({"steps": True}, "steps", "INVALID_VALUE", ""),
        ({"steps": None}, "steps", "INVALID_VALUE", ""),
        ({"mode": "Fast"}, "mode", "INVALID_VALUE", ""),
        ({"sizes": [1, "x"]}, "sizes[1]", "INVALID_VALUE", ""),
        ({"optimizer": {"learning_rate": float("nan")}}, "optimizer.learning_rate", "NOT_FINITE", ""),
        ({"sizes": [1, float("-inf")]}, "sizes[1]", "NOT_FINITE", ""),
        ({"table": {"a": {"b": float("inf")}}}, "table.a.b", "NOT_FINITE", ""),
        ({"seed": 2**60}, "seed", "OUT_OF_RANGE", ""),
        ({"seed": 10**5000}, "seed", "OUT_OF_RANGE", ""),
        ({"seed": -1}, "seed", "INVALID_VALUE", ""),
        ({"label": "\ud800"}, "label", "NOT_UTF8", ""),
        ({"label": datetime.date(2026, 1, 1)}, "label", "NOT_JSON", ""),
        ({"label": b"x"}, "label", "NOT_JSON", ""),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, Any], field: str, reason: str, hint: str) -> None:
    error = refused(values)
    assert (error.field, error.reason) == (field, reason)
    assert field in error.message
    assert hint in error.next_step


def test_all_that_is_wrong_is_said_at_once() -> None:
    error = refused({"stpes": 1, "mode": "x", "sizes": ["a"]}, prefix="cognate")
    assert {v.field for v in error.violations} == {"cognate.stpes", "cognate.mode", "cognate.sizes[0]"}
    assert "and 2 more" in error.message
    error = refused({"steps": float("nan"), "sizes": [float("inf")]}, prefix="cognate")
    assert [v.field for v in error.violations] == ["cognate.steps", "cognate.sizes[0]"]


def nested(depth: int) -> dict[str, Any]:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return {"label": value}


def cyclic() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (nested(100_000), "CONFIG_TOO_DEEP"),
        (cyclic(), "CONFIG_TOO_DEEP"),
        ({"label": "x" * 100_000_000}, "CONFIG_TOO_LARGE"),
        ({"label": "ü" * 600_000}, "CONFIG_TOO_LARGE"),
        ({"sizes": [0] * 20_000_000}, "CONFIG_TOO_LARGE"),
        ({"x" * 50_000_000: 1}, "CONFIG_TOO_LARGE"),
        ({"sizes": ["x"] * 19_000}, "INVALID_VALUE"),
        ({"sizes": [float("nan")] * 19_000}, "NOT_FINITE"),
        ({f"field{i}": 1 for i in range(19_000)}, "UNKNOWN_FIELD"),
        ({"y" * 1_000_000: 1}, "UNKNOWN_FIELD"),
        ({"label": ["z" * 1_000_000]}, "INVALID_VALUE"),
    ],
    ids=[
        "deep",
        "cyclic",
        "100 MB",
        "umlauts",
        "long list",
        "long key",
        "many wrong",
        "many NaN",
        "many unknown",
        "long unknown",
        "long value",
    ],
)
def test_hostile_configs_cost_little(values: dict[str, Any], reason: str) -> None:
    tracemalloc.start()
    start = time.monotonic()
    error = refused(values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert error.reason == reason
    assert len(error.violations) <= MAX_VIOLATIONS
    assert len(error.message) + len(error.field) < 1000
    assert all(len(v.message) + len(v.field) < 1000 for v in error.violations)
    assert time.monotonic() - start < 30
    assert peak < 100 * MAX_CONFIG_BYTES


def test_a_config_just_below_the_limit_is_taken() -> None:
    assert len(validate_config(Config, {"label": "x" * (MAX_CONFIG_BYTES - 100)}).label) == MAX_CONFIG_BYTES - 100


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
_fields = st.sampled_from([*Config.model_fields, "stpes", "", "a.b", "\0"])


@given(st.dictionaries(_fields, _anything, max_size=5))
def test_any_config_is_taken_or_refused_by_name(values: dict[str, Any]) -> None:
    refusal = None
    try:
        config = validate_config(Config, values)
    except ForgeError as error:
        refusal = error
    if refusal is None:
        assert validate_config(Config, resolved(config)) == config
    else:
        assert refusal.violations
        assert all(v.message and v.reason for v in refusal.violations)


def test_plain_json_is_a_copy() -> None:
    values: Any = {"a": {"b": (1.0, 2.5)}, 3: None}
    plain = to_plain_json(values)
    assert plain == {"a": {"b": [1, 2.5]}, "3": None}
    assert values == {"a": {"b": (1.0, 2.5)}, 3: None}
