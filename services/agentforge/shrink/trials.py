"""Candidates one after another until there are enough, by all ranks alike, and the book of what they were worth.

A kill loses one candidate of each rank at most; a resumed search asks the same and finds the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from agentforge.kit import ranks
from agentforge.kit.audience import Audience
from agentforge.kit.checkpoints import Checkpoint
from agentforge.kit.errors import DataLoss
from agentforge.shrink.asking import Asker, Genes, key
from agentforge.train.state import load_json, save_json

_FILE = "book.json"


class Saver(Protocol):
    def save(self, step: int, write: Callable[[Path], None]) -> object: ...
    def latest(self) -> Checkpoint | None: ...


class Context(Audience, Protocol):
    """What a search needs of a kit.context.PhaseContext."""

    @property
    def seed(self) -> int: ...
    @property
    def checkpoints(self) -> Saver: ...


@dataclass(frozen=True)
class Tried:
    """`numbers`: all that was measured, which alone crosses the wire between ranks."""

    number: int
    genes: Genes
    numbers: tuple[float, ...]


@dataclass
class Book:
    """`notes`: what else must outlive a kill, as plain JSON."""

    context: Context
    tried: list[Tried] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
    _read: list[Tried] = field(default_factory=list)  # of an earlier attempt
    place: Path | None = None  # of the checkpoint that was read

    def __post_init__(self) -> None:
        found = self.context.checkpoints.latest()
        if found is None or not (found.path / _FILE).is_file():
            return
        record = load_json(found.path / _FILE)
        self._read = [Tried(one["number"], one["genes"], tuple(one["numbers"])) for one in record["tried"]]
        self.notes, self.place = record["notes"], found.path
        self.context.log(f"goes on after {len(self._read)} candidates")

    def known(self, number: int, genes: Genes) -> Tried | None:
        """What an earlier attempt found for the candidate of this number."""
        if number >= len(self._read):
            return None
        found = self._read[number]
        if found.genes != genes:
            message = f"candidate {number} of the checkpoint is {found.genes}; this installation asks for {genes}"
            step = "Resume with the Optuna and the config that began the run, or start a new run."
            raise DataLoss(message, reason="CHECKPOINT_MISMATCH", field=_FILE, next_step=step)
        return Tried(number, genes, found.numbers)  # its genes in the order of the space, as without a kill

    def save(self, step: int | None = None, more: Callable[[Path], None] | None = None) -> None:
        """`more`: writes what belongs to this checkpoint alone."""

        def write(directory: Path) -> None:
            save_json(directory / _FILE, {"tried": [asdict(one) for one in self.tried], "notes": self.notes})
            if more is not None:
                more(directory)

        self.context.checkpoints.save(len(self.tried) if step is None else step, write)


Measure = Callable[[int, Genes], Sequence[float]]
"""One candidate by its number and genes, as numbers: as many for each."""


def search(
    book: Book, asker: Asker, measure: Measure, objectives: Callable[[Tried], Sequence[float]], *,
    trials: int, batch: int, width: int,
) -> list[Tried]:  # fmt: skip
    """Until there are `trials`, or nothing new is asked for. `width`: how many numbers a candidate has."""
    known: dict[str, Tried] = {}
    number = 0
    while len(book.tried) < trials:
        fresh = asker.ask(number, min(batch, trials - len(book.tried)), known)
        if not fresh:
            book.context.log(f"{len(book.tried)} candidates are all that were asked for")
            break
        for one in _batch(book, fresh, measure, trials, width):
            known[key(one.genes)] = one
        asker.tell({name: objectives(one) for name, one in known.items()})
        number += 1
    return book.tried


def _batch(book: Book, fresh: Sequence[Genes], measure: Measure, trials: int, width: int) -> list[Tried]:
    """Each rank its share, one at a time; after each the numbers are everybody's, and saved."""
    own, first = ranks.current(), len(book.tried)
    for begin in range(0, len(fresh), own.world):
        some = [(first + place, fresh[place]) for place in range(begin, min(begin + own.world, len(fresh)))]
        before = [one for one in (book.known(*each) for each in some) if one is not None]
        if len(before) == len(some):
            book.tried += before
            continue
        book.context.check_stop(book.save)
        rows = shared([lambda each=each: measure(*each) for each in some], width)  # type: ignore[misc]
        book.tried += [Tried(*each, tuple(row)) for each, row in zip(some, rows, strict=True)]
        book.save()
        book.context.progress(len(book.tried), trials, "candidates", "search")
    return book.tried[first:]


def shared(work: Sequence[Callable[[], Sequence[float]]], width: int) -> list[list[float]]:
    """The numbers of each piece of work, at most one for each rank: who does it tells all others."""
    own = ranks.current()
    numbers = torch.zeros(len(work), width, dtype=torch.float64)
    if own.rank < len(work):
        numbers[own.rank] = torch.tensor(list(work[own.rank]()), dtype=torch.float64)
    found: list[list[float]] = own.add_up(numbers).tolist()
    return found
