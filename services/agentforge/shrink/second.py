"""Items for the ranking, and others for the choice: the luckiest looks better than it is on the first ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from agentforge.data.items import Item
from agentforge.kit.errors import InvalidInput

_T = TypeVar("_T")


def parted(items: Sequence[Item], first: int) -> tuple[list[Item], list[Item]]:
    """Of each family so many, but half of them at most; and the rest, without other forms of the first ones."""
    firsts: list[Item] = []
    rest: list[Item] = []
    for name, whole in by_family(items, items).items():
        own = whole[: min(first, len(whole) // 2)]
        seen = {item.canonical for item in own}
        others = [item for item in whole[len(own) :] if item.canonical not in seen]
        if not own or len(others) < 2:
            message = f"{name} has {len(whole)} items in the selection split: too few to choose and to confirm"
            step = "Take higher difficulties."
            raise InvalidInput(message, reason="TOO_FEW_ITEMS", field=f"data.families.{name}", next_step=step)
        firsts, rest = firsts + own, rest + others
    return firsts, rest


def by_family(items: Sequence[Item], values: Sequence[_T]) -> dict[str, list[_T]]:
    found: dict[str, list[_T]] = {}
    for item, value in zip(items, values, strict=True):
        found.setdefault(item.family, []).append(value)
    return found
