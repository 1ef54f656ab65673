"""Items of one family and one split, by number: item i is the same whoever asks for it, in whatever order."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest

from agentforge.data.items import Item
from agentforge.data.splits import Split, assert_split, split_of
from agentforge.data.tasks import family
from agentforge.data.tasks.base import Family
from agentforge.kit.data_notes import note
from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng

_MOST_COUNTED = 200_000
_NOTED = 100  # items by which an endless stream is known
_TRIES = 5_000  # the rarest split holds 1 in 20: missing it this often by chance has probability 1e-111


class ItemStream:
    """An endless, counted stream. The split is a filter on what is drawn, so no seed can cross it."""

    def __init__(
        self, source: str | Family, split: Split, seed: int, difficulties: Sequence[int] | None = None
    ) -> None:
        self.family = family(source) if isinstance(source, str) else source
        self.split = split
        self.seed = seed
        self.difficulties = tuple(self.family.starter if difficulties is None else difficulties)
        self._noted = False
        _check_difficulties(self.family, self.difficulties)

    @property
    def name(self) -> str:
        return f"{self.family.name}/{self.split}"

    def item(self, *counters: int) -> Item:
        """The item that belongs to these counters."""
        if not self._noted:
            self._noted = True
            self._note(f"its first {_NOTED} items, of as many as are asked for", self._first)
        rng = Rng(self.seed, f"data/{self.name}", *counters).python()
        for _ in range(_TRIES):
            item = self.family.draw(rng, rng.choice(self.difficulties))
            if split_of(item.canonical) is self.split:
                return item
        message = (
            f"{self.family.name} at {self.family.knob} {self.difficulties} has no item in the {self.split} split"
        )
        raise InvalidInput(
            message, reason="SPLIT_EMPTY", field=self.family.name, next_step="Take a higher difficulty."
        )

    def __iter__(self) -> Iterator[Item]:
        number = 0
        while True:
            yield self.item(number)
            number += 1

    def distinct(self, count: int, *, all_if_fewer: bool = False) -> list[Item]:
        """`count` different items, for evaluation and finite training sets. Fewer only where that is asked for."""
        self._noted = True  # by those that are wanted, below
        items = self._drawn(count) if self._size() is None else self._listed(count)
        self._note(f"its {len(items):,} different items", lambda: items)
        if len(items) < count and not all_if_fewer:
            knob = f"{self.family.knob} {self.difficulties}"
            message = f"{self.name} at {knob} has {len(items):,} different items; {count:,} were asked for"
            step = "Ask for fewer, or take a higher difficulty."
            raise InvalidInput(message, reason="TOO_FEW_ITEMS", field=self.family.name, next_step=step)
        return items

    def _first(self) -> Iterator[Item]:
        return (self.item(number) for number in range(_NOTED))

    def _note(self, what: str, items: Callable[[], Iterable[Item]]) -> None:
        """For the model's card."""
        levels = ", ".join(map(str, self.difficulties))
        whole = f"{what}; seed {self.seed}, {self.family.knob} {levels}"
        with contextlib.suppress(InvalidInput):  # what cannot be drawn is told by who asks for it
            note(self.name, whole, lambda: (f"{i.prefix}{i.prompt}\0{i.completion}" for i in items()))

    def _size(self) -> int | None:
        """How many items there are to list, or None where they are too many: then they are drawn."""
        sizes = [self.family.size(difficulty) for difficulty in self.difficulties]
        total = sum(size for size in sizes if size is not None)
        return None if None in sizes or total > _MOST_COUNTED else total

    def _listed(self, count: int) -> list[Item]:
        """The difficulties in turns, as long as each lasts: else the hardest, which has the most items, is all."""
        queues = []
        for difficulty in self.difficulties:
            items = [item for item in self.family.space(difficulty) if split_of(item.canonical) is self.split]
            Rng(self.seed, f"data/{self.name}/distinct", difficulty).python().shuffle(items)
            queues.append(items)
        # "3 + 4" is an item of one digit and of up to two: it is taken once.
        members: dict[tuple[str, str], Item] = {}
        for item in (item for turn in zip_longest(*queues) for item in turn if item is not None):
            members.setdefault((item.prefix, item.prompt), item)
        return list(members.values())[:count]

    def _drawn(self, count: int) -> list[Item]:
        items: dict[tuple[str, str], Item] = {}
        number = misses = 0
        while len(items) < count and misses < _TRIES:
            item = self.item(number)
            number += 1
            fresh = items.setdefault((item.prefix, item.prompt), item) is item
            misses = 0 if fresh else misses + 1
        return list(items.values())


def items_by_family(
    families: Mapping[str, Sequence[int]], split: Split, count: int, seed: int, *, field: str
) -> dict[str, list[Item]]:
    """So many of each family, or all where it has fewer. Without difficulties: those of the family's start.

    `field`: of the config, where families have their difficulties.
    """
    found = {}
    for name in sorted(families):
        items = ItemStream(name, split, seed, families[name] or None).distinct(count, all_if_fewer=True)
        if not items:
            message = f"{name} has no item in the {split} split"
            step = "Take higher difficulties."
            raise InvalidInput(message, reason="SPLIT_EMPTY", field=f"{field}.{name}", next_step=step)
        assert_split((item.canonical for item in items), split)
        found[name] = items
    return found


def capacity(source: str | Family, difficulty: int) -> dict[Split, int] | None:
    """How many different items each split holds, counted; None where the family is too large to list."""
    chosen = family(source) if isinstance(source, str) else source
    _check_difficulties(chosen, (difficulty,))
    size = chosen.size(difficulty)
    if size is None or size > _MOST_COUNTED:
        return None
    counts = Counter(split_of(item.canonical) for item in chosen.space(difficulty))
    return {split: counts[split] for split in Split}


def _check_difficulties(chosen: Family, difficulties: Sequence[int]) -> None:
    allowed = chosen.difficulties
    wrong = [difficulty for difficulty in difficulties if difficulty not in allowed]
    if wrong or not difficulties:
        message = f"{chosen.name} has {chosen.knob} from {allowed.start} to {allowed.stop - 1}, not {list(wrong)}"
        raise InvalidInput(message, reason="BAD_DIFFICULTY", field="difficulty")
