"""Configs: strict pydantic models beside the algorithms. One model makes checks, schema, help and form."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any, TypeVar

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from agentforge.kit.errors import InvalidInput, Violation
from agentforge.kit.plainjson import MAX_EXACT_INT, MAX_VIOLATIONS, to_plain_json

_SHOWN = 80  # characters of a name or value that a message repeats


class StrictModel(BaseModel):
    """No unknown fields, no silent conversions, no NaN, no change after the check. For nested parts of a config."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, validate_default=True)


class PhaseConfig(StrictModel):
    """The root of every phase's config."""

    seed: int = Field(42, ge=0, lt=MAX_EXACT_INT, description="Root of all counted randomness of this run.")


class TeamConfig(PhaseConfig):
    """For phases that several processes can work on together. How many changes the last bits of a result."""

    processes: int = Field(1, ge=1, le=1_024, description="Processes that train together, one for each GPU.")


class Unfit(ValueError):
    """For validators that know more than "invalid": the field below the checked model, a reason, the way out."""

    def __init__(self, field: str, message: str, *, reason: str = "INVALID_VALUE", next_step: str = "") -> None:
        super().__init__(message)
        self.field, self.reason, self.next_step = field, reason, next_step


C = TypeVar("C", bound=StrictModel)


def validate_config(model: type[C], values: Mapping[str, Any], *, prefix: str = "") -> C:
    """Check plain JSON values; raise one InvalidInput that names every wrong field and the nearest right name."""
    try:
        return model.model_validate_json(json.dumps(to_plain_json(values, prefix)))
    except pydantic.ValidationError as error:
        # Each error costs a search for near names and travels in a gRPC trailer: a few dozen are plenty.
        errors = error.errors(include_url=False)[:MAX_VIOLATIONS]
        raise InvalidInput.of([_violation(model, e, prefix) for e in errors]) from None


def resolved(config: StrictModel) -> dict[str, Any]:
    """Every field with its final value, as plain JSON."""
    values: dict[str, Any] = json.loads(config.model_dump_json())
    return values


def _violation(model: type[BaseModel], error: Any, prefix: str) -> Violation:
    path = _dotted(error["loc"], prefix)
    unfit = error.get("ctx", {}).get("error")
    if isinstance(unfit, Unfit):
        path = _dotted((unfit.field,), path)
        return Violation(path, f"{path}: {unfit}", unfit.reason, unfit.next_step)
    if error["type"] == "extra_forbidden":
        known = _fields_at(model, error["loc"][:-1])
        near = difflib.get_close_matches(str(error["loc"][-1])[:_SHOWN], known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known fields: {', '.join(sorted(known))}."
        return Violation(path, f"{path}: there is no such field", "UNKNOWN_FIELD", hint)
    if error["type"] == "missing":
        return Violation(path, f"{path} is required", "MISSING_FIELD")
    given = json.dumps(error["input"], default=str)
    given = given if len(given) <= _SHOWN else given[: _SHOWN - 1] + "…"
    text = error["msg"][0].lower() + error["msg"][1:]
    return Violation(path, f"{path}: {text} (given: {given})", "INVALID_VALUE")


def _dotted(loc: tuple[int | str, ...], prefix: str) -> str:
    path = prefix
    for part in loc:
        if isinstance(part, str) and len(part) > _SHOWN:
            part = part[: _SHOWN - 1] + "…"
        path += f"[{part}]" if isinstance(part, int) else (f".{part}" if path else part)
    return path


def _fields_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Names of the fields of the nested model at `loc`; of the root where the place is no plain model."""
    for part in loc:
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return list(model.model_fields)
