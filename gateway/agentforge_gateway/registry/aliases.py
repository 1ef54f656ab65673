"""An alias as the fold of its log: where it points, and where a rollback leads."""

from __future__ import annotations

from collections.abc import Sequence

from agentforge.kit.errors import FailedPrecondition
from agentforge_gateway.registry.records import Promotion

Standing = tuple[tuple[int, str], ...]
"""Promotions that nobody undid, oldest first: entry and version. The last one is where the alias points."""


def standings(log: Sequence[Promotion]) -> list[Standing]:
    """Before the first entry, and after each. A rollback restores what stood before the entry that it undoes."""
    found: list[Standing] = [()]
    for entry in log:
        if entry.undoes is None:
            assert entry.to_version is not None
            found.append((*found[-1], (entry.number, entry.to_version)))
        else:
            found.append(found[entry.undoes - 1])
    return found


def current(log: Sequence[Promotion]) -> str | None:
    standing = standings(log)[-1]
    return standing[-1][1] if standing else None


def protected(log: Sequence[Promotion]) -> set[str]:
    """Versions that the alias points to, or would after one rollback."""
    return {version for _, version in standings(log)[-1][-2:]}


def rollback_of(name: str, alias: str, log: Sequence[Promotion], entry: int | None) -> tuple[int, str]:
    """The entry to undo, and the version that the alias then points to."""
    found = standings(log)
    if entry is not None and entry != len(log):
        raise FailedPrecondition(
            f"entry {entry} is not the last of {name}:{alias}, which has {len(log)}",
            reason="NOT_THE_LAST_ENTRY",
            field="entry",
            next_step="Undo the last entry, or promote the version that you want.",
        )
    undone = entry or (found[-1][-1][0] if found[-1] else 0)
    before = found[undone - 1] if undone else ()
    if not before:
        raise FailedPrecondition(
            f"{name}:{alias} has no earlier version to return to",
            reason="NOTHING_TO_ROLL_BACK",
            field="alias",
            next_step=f"See its log (agentforge models log {name}), or promote another version.",
        )
    return undone, before[-1][1]
