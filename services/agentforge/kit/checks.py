"""For admissions, which make every check of what is given: all that is wrong is told at once."""

from __future__ import annotations

from collections.abc import Callable

from agentforge.kit.errors import ForgeError, Violation

Check = tuple[str, Callable[[], None]]
"""The field of the request that it is about, and what raises where something is wrong."""


def violations(*checks: Check) -> list[Violation]:
    return [violation for field, check in checks for violation in _made(field, check)]


def _made(field: str, check: Callable[[], None]) -> list[Violation]:
    try:
        check()
    except ForgeError as error:
        return error.at(field)
    return []
