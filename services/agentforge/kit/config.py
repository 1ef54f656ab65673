"""Configs: strict pydantic models beside the algorithms. One model makes checks, schema, help and form."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from typing import Any, TypeVar

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from agentforge.kit.errors import InvalidInput, Violation

MAX_CONFIG_BYTES = 1 << 20
_MAX_EXACT_INT = 2**53  # a protobuf Struct holds doubles; integers beyond this do not survive the way


class StrictModel(BaseModel):
    """No unknown fields, no silent conversions, no NaN, no change after the check. For nested parts of a config."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, validate_default=True)


class PhaseConfig(StrictModel):
    """The root of every phase's config."""

    seed: int = Field(42, ge=0, lt=_MAX_EXACT_INT, description="Root of all counted randomness of this run.")


C = TypeVar("C", bound=StrictModel)


def validate_config(model: type[C], values: Mapping[str, Any], *, prefix: str = "") -> C:
    """Check plain JSON values; raise one InvalidInput that names every wrong field and the nearest right name."""
    violations: list[Violation] = []
    plain = _plain(values, prefix, violations)
    if violations:
        raise InvalidInput.of(violations)
    text = json.dumps(plain)
    if len(text) > MAX_CONFIG_BYTES:
        message = f"the config has {len(text):,} bytes; at most {MAX_CONFIG_BYTES:,} are taken"
        raise InvalidInput(
            message, reason="CONFIG_TOO_LARGE", field=prefix, next_step="Pass large data as an input."
        )
    try:
        return model.model_validate_json(text)
    except pydantic.ValidationError as error:
        raise InvalidInput.of([_violation(model, e, prefix) for e in error.errors(include_url=False)]) from None


def resolved(config: StrictModel) -> dict[str, Any]:
    """Every field with its final value, as plain JSON."""
    values: dict[str, Any] = json.loads(config.model_dump_json())
    return values


def _plain(value: Any, path: str, violations: list[Violation]) -> Any:
    """Doubles that are exact integers become integers (a Struct knows only doubles); NaN and infinities are refused."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v, f"{path}.{k}" if path else str(k), violations) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v, f"{path}[{i}]", violations) for i, v in enumerate(value)]
    if isinstance(value, float):
        if not math.isfinite(value):
            violations.append(Violation(path, f"{path} is {value}: a finite number is needed", "NOT_FINITE"))
            return None
        return int(value) if value.is_integer() and abs(value) <= _MAX_EXACT_INT else value
    return value


def _violation(model: type[BaseModel], error: Any, prefix: str) -> Violation:
    path = _dotted(error["loc"], prefix)
    if error["type"] == "extra_forbidden":
        known = _fields_at(model, error["loc"][:-1])
        near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known fields: {', '.join(sorted(known))}."
        return Violation(path, f"{path}: there is no such field", "UNKNOWN_FIELD", hint)
    if error["type"] == "missing":
        return Violation(path, f"{path} is required", "MISSING_FIELD")
    given = json.dumps(error["input"], default=str)
    given = given if len(given) <= 80 else given[:77] + "…"
    text = error["msg"][0].lower() + error["msg"][1:]
    return Violation(path, f"{path}: {text} (given: {given})", "INVALID_VALUE")


def _dotted(loc: tuple[int | str, ...], prefix: str) -> str:
    path = prefix
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else (f".{part}" if path else part)
    return path


def _fields_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Names of the fields of the nested model at `loc`; of the root where the place is no plain model."""
    for part in loc:
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return list(model.model_fields)
