"""Values from outside, made into plain JSON of bounded size and depth, before anything else looks at them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from agentforge.kit.errors import InvalidInput, Violation

MAX_CONFIG_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_VIOLATIONS = 32
MAX_EXACT_INT = 2**53  # a protobuf Struct holds doubles; integers beyond this do not survive the way
MAX_VALUES = 20_000  # each wrong one costs an error of its own
_SHOWN = 80


def to_plain_json(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A copy of plain dicts, lists and numbers. Raises one InvalidInput that names every value that is no JSON.

    Doubles that are exact integers become integers, since a Struct knows only doubles.
    """
    copier = _Copier()
    plain: dict[str, Any] = copier.copy(values, prefix, 0)
    if copier.violations:
        raise InvalidInput.of(copier.violations)
    return plain


class _Copier:
    """Counts what it has copied, and stops at once when that is too much: the work is bounded by the limit."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self._left = MAX_CONFIG_BYTES
        self._values = 0

    def copy(self, value: Any, path: str, depth: int) -> Any:
        self._values += 1
        if self._values > MAX_VALUES:
            raise _too_large(f"{MAX_VALUES:,} values")
        if depth > MAX_DEPTH:
            raise _too_deep(path)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self._text(value, path)
        if isinstance(value, int | float):
            return self._number(value, path)
        if isinstance(value, Mapping):
            return {k: self.copy(v, _below(path, k), depth + 1) for k, v in self._keyed(value, path)}
        if isinstance(value, list | tuple):
            return [self.copy(v, f"{path}[{i}]", depth + 1) for i, v in enumerate(value)]
        return self._refuse(path, f"is of type {type(value).__name__}, which JSON does not know", "NOT_JSON")

    def _keyed(self, value: Mapping[Any, Any], path: str) -> list[tuple[str, Any]]:
        if len(value) > MAX_VALUES:
            raise _too_large(f"{MAX_VALUES:,} values")
        return [(self._text(str(k), path), v) for k, v in value.items()]

    def _text(self, text: str, path: str) -> str:
        self._spend(len(text))
        if not text.isascii():
            try:
                self._spend(len(text.encode()) - len(text))
            except UnicodeEncodeError:
                self._refuse(path, "holds half a character (a lone surrogate)", "NOT_UTF8")
                return ""
        return text

    def _number(self, number: int | float, path: str) -> int | float | None:
        self._spend(8)
        if isinstance(number, int):
            if abs(number) > MAX_EXACT_INT:
                self._refuse(path, f"is beyond ±2^53 = {MAX_EXACT_INT}, where integers are exact", "OUT_OF_RANGE")
                return None
            return number
        if not math.isfinite(number):
            self._refuse(path, f"is {number}: a finite number is needed", "NOT_FINITE")
            return None
        return int(number) if number.is_integer() and abs(number) <= MAX_EXACT_INT else number

    def _refuse(self, path: str, why: str, reason: str) -> None:
        if len(self.violations) < MAX_VIOLATIONS:
            self.violations.append(Violation(path, f"{path or 'the config'} {why}", reason))

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise _too_large(f"{MAX_CONFIG_BYTES:,} bytes")


def _below(path: str, key: str) -> str:
    key = key if len(key) <= _SHOWN else key[: _SHOWN - 1] + "…"
    return f"{path}.{key}" if path else key


def _too_large(limit: str) -> InvalidInput:
    message = f"the config has more than {limit}"
    return InvalidInput(message, reason="CONFIG_TOO_LARGE", next_step="Pass large data as an input.")


def _too_deep(path: str) -> InvalidInput:
    shown = path if len(path) <= _SHOWN else path[:_SHOWN] + "…"
    return InvalidInput(
        f"{shown} is nested more than {MAX_DEPTH} levels deep", reason="CONFIG_TOO_DEEP", field=shown
    )
