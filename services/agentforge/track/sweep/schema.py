"""Whether a phase's config has the fields that are searched, and takes the ends of their ranges. By JSON Schema, so
that it holds for a service elsewhere, too."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jsonschema

from agentforge.kit.errors import InvalidInput, Violation
from agentforge.track.sweep.space import Parameter

Schema = Mapping[str, Any]


def check_space(parameters: Sequence[Parameter], schemas: Mapping[str, Schema], *, prefixed: bool) -> None:
    """Raise one error for all that is wrong. `prefixed`: names begin with the phase, as in a pipeline's sweep."""
    violations: list[Violation] = []
    for one in parameters:
        phase, _, path = one.name.partition(".") if prefixed else (next(iter(schemas)), "", one.name)
        if phase not in schemas or not path:
            near = difflib.get_close_matches(phase, schemas, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Write PHASE.FIELD; phases: {', '.join(schemas)}."
            violations.append(Violation(one.name, f"{one.name}: names no phase", "UNKNOWN_PHASE", hint))
            continue
        violations += _check(one, path, schemas[phase])
    if violations:
        raise InvalidInput.of(violations)


def _check(one: Parameter, path: str, root: Schema) -> Iterator[Violation]:
    places: list[Schema] = [root]
    for part in path.split("."):
        known = {name: inner for place in places for name, inner in _properties(place, root)}
        if part not in known:
            near = difflib.get_close_matches(part, known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known fields: {', '.join(sorted(known)) or 'none'}."
            yield Violation(one.name, f"{one.name}: there is no such field", "UNKNOWN_FIELD", hint)
            return
        places = [known[part]]
    whole = {**places[0], "$defs": root.get("$defs", {})}
    for value in one.corners:
        errors = list(jsonschema.Draft202012Validator(whole).iter_errors(value))
        if errors:
            message = f"{one.name}: {errors[0].message[:200]}"
            yield Violation(
                one.name, message, "INVALID_VALUE", "The field's bounds: `agentforge phase PHASE --dry-run`."
            )
            return
    if not one.choices and not one.whole and not _takes_fractions(whole):
        text = f"{one.name}: takes whole numbers, and the range has fractions"
        yield Violation(one.name, text, "INVALID_VALUE", "Give whole min and max, or distribution: int_uniform.")


def _takes_fractions(schema: Schema) -> bool:
    """Bounds may be whole by chance (1.0 to 8.0): a value between them tells."""
    bounds = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    without = {key: value for key, value in schema.items() if key not in bounds}
    errors = jsonschema.Draft202012Validator(without).iter_errors(0.5)
    return not any(error.validator == "type" for error in errors)


def _properties(place: Schema, root: Schema) -> Iterator[tuple[str, Schema]]:
    """Of the schema and of what it refers to or is made of."""
    yield from place.get("properties", {}).items()
    if reference := place.get("$ref"):
        yield from _properties(root.get("$defs", {}).get(str(reference).rsplit("/", 1)[-1], {}), root)
    for key in ("anyOf", "allOf", "oneOf"):
        for part in place.get(key, ()):
            yield from _properties(part, root)
