"""What is searched: W&B's `parameters`, each as a choice or a range. What cannot be mapped is refused by name."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentforge.kit.errors import InvalidInput, Violation

_KEYS = {"value", "values", "min", "max", "distribution", "parameters", "q"}
_DISTRIBUTIONS = (
    "constant",
    "categorical",
    "int_uniform",
    "uniform",
    "log_uniform",
    "log_uniform_values",
    "q_uniform",
)


@dataclass(frozen=True)
class Parameter:
    """A dotted config field, and either its `choices` or its range; both ends belong to it."""

    name: str
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    whole: bool = False  # integers only
    log: bool = False
    step: float | None = None

    @property
    def corners(self) -> tuple[Any, ...]:
        """What must be a valid value of the field before anything starts."""
        return self.choices or (self.low, self.high)

    def grid(self) -> list[Any]:
        """Every value that it can have."""
        if self.choices:
            return list(self.choices)
        if self.whole:
            return list(range(int(self.low), int(self.high) + 1))
        if self.step:
            return [
                self.low + i * self.step for i in range(math.floor((self.high - self.low) / self.step + 1e-9) + 1)
            ]
        raise _refused(self.name, "a grid needs `values`, whole numbers or `q`", "Use method random or bayes.")


def read_parameters(given: Mapping[str, Any], prefix: str = "") -> list[Parameter]:
    """All parameters, nested ones under dotted names, in the order of their names."""
    found = []
    for name in sorted(given, key=str):
        path, spec = f"{prefix}{name}", given[name]
        if not isinstance(spec, Mapping):
            raise _refused(
                path, f"is {spec!r}, no mapping", "Write for example {min: 1, max: 8} or {values: [1, 2]}."
            )
        if strange := sorted(set(map(str, spec)) - _KEYS):
            raise _refused(f"{path}.{strange[0]}", "is not supported", f"Known: {', '.join(sorted(_KEYS))}.")
        if "parameters" in spec:
            found += read_parameters(_mapping(spec["parameters"], f"{path}.parameters"), f"{path}.")
        else:
            found.append(_parameter(path, spec))
    return found


def _parameter(path: str, spec: Mapping[str, Any]) -> Parameter:
    kind = spec.get("distribution") or _inferred(spec)
    if kind not in _DISTRIBUTIONS:
        step = f"Supported: {', '.join(_DISTRIBUTIONS)}."
        raise _refused(f"{path}.distribution", f"{kind!r} is not supported", step)
    if kind == "constant":
        return Parameter(path, choices=(_number(spec.get("value")),))
    if kind == "categorical":
        values = spec.get("values")
        if not isinstance(values, list) or not values:
            raise _refused(f"{path}.values", "must be a list that is not empty")
        return Parameter(path, choices=_distinct(path, [_number(value) for value in values]))
    return _range(path, kind, _bound(path, spec, "min"), _bound(path, spec, "max"), spec.get("q"))


def _range(path: str, kind: str, low: float, high: float, q: Any) -> Parameter:
    if kind == "log_uniform":  # W&B gives its ends as exponents
        try:
            low, high = math.exp(low), math.exp(high)
        except OverflowError:
            raise _refused(path, "log_uniform takes exponents, and this one is too large", _LOG_HINT) from None
    log = kind.startswith("log")
    if low > high:
        raise _refused(path, f"min {low:g} is above max {high:g}")
    if log and low <= 0:
        raise _refused(path, f"a logarithmic range cannot begin at {low:g}", "Give a min above 0.")
    if kind == "int_uniform" and not (float(low).is_integer() and float(high).is_integer()):
        raise _refused(path, "int_uniform needs whole min and max")
    if (kind == "q_uniform") != (q is not None) or (q is not None and not (_is_number(q) and q > 0)):
        raise _refused(f"{path}.q", "a step above 0 belongs to q_uniform, and only to it")
    whole = kind == "int_uniform"
    step = None if q is None else float(q)
    return Parameter(
        path, (), int(low) if whole else float(low), int(high) if whole else float(high), whole, log, step
    )


_LOG_HINT = "log_uniform_values takes the values themselves."


def _inferred(spec: Mapping[str, Any]) -> str:
    """As W&B does it."""
    if "value" in spec:
        return "constant"
    if "values" in spec:
        return "categorical"
    ends = (_number(spec.get("min")), _number(spec.get("max")))
    return "int_uniform" if all(isinstance(end, int) and not isinstance(end, bool) for end in ends) else "uniform"


def _bound(path: str, spec: Mapping[str, Any], key: str) -> float:
    value = _number(spec.get(key))
    if not _is_number(value):
        raise _refused(f"{path}.{key}", "is missing" if value is None else f"is {value!r}, no finite number")
    bound: float = value
    return bound


def _distinct(path: str, values: list[Any]) -> tuple[Any, ...]:
    try:
        if len({json.dumps(value, sort_keys=True, allow_nan=False) for value in values}) < len(values):
            raise _refused(f"{path}.values", "names a value twice")
    except (TypeError, ValueError):
        raise _refused(f"{path}.values", "holds something that JSON cannot write") from None
    return tuple(values)


def _number(value: Any) -> Any:
    """YAML 1.1 reads 1e-3 as text; people mean the number."""
    if isinstance(value, str) and value[:1] in "+-.0123456789" and "e" in value.lower():
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _mapping(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _refused(path, "must be a mapping")
    return value


def _refused(path: str, what: str, next_step: str = "") -> InvalidInput:
    field = path if path.startswith("parameters") else f"parameters.{path}"
    return InvalidInput.of([Violation(field, f"{field}: {what}", "BAD_SWEEP", next_step)])
