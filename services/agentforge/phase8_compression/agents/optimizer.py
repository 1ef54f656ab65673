"""ArchitectureOptimizer: candidates, those that nobody beats, the choice on fresh items, and a last training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentforge.data.items import Item
from agentforge.kit import ranks
from agentforge.kit.measure import Measurement
from agentforge.phase8_compression.choosing import Judged, choose, front
from agentforge.phase8_compression.workshop import Candidate, Workshop
from agentforge.phase8_compression.worth import Worth, told
from agentforge.shrink.asking import Asker, Genes
from agentforge.shrink.trials import Book, Context, Tried, search, shared

_CONFIRMED, _FINAL = "confirmed", "training"
LONGER, AS_JUDGED = "trained for longer", "as the search judged them"


@dataclass(frozen=True)
class Chosen:
    """`made`: model, tokenizer and plan of what goes out. `record`: pareto_front.json, without times."""

    made: Candidate
    genes: Genes
    record: dict[str, Any]
    measured: list[Measurement]


def optimise(context: Context, shop: Workshop) -> Chosen:
    config, book = shop.config, Book(context)
    for gene, why in shop.space.absent.items():
        context.log(f"not searched: {gene}, {why}", "debug")
    tried = search(
        book, _asker(shop), shop.measure, _objectives,
        trials=config.search.trials, batch=config.search.batch, width=len(Worth.none(shop.items).numbers),
    )  # fmt: skip
    worths = {one.number: Worth.of(one.numbers) for one in tried}
    before = shop.input(shop.fresh)
    best = front(worths)  # and the first, which loses nothing: so that there is always one to go on with
    confirmed = _confirmed(book, shop, tried, [*best, *(number for number in (0,) if number not in best)])
    judged = [Judged.of(number, shop.fresh, before, worth) for number, worth in confirmed.items()]
    found = choose(judged, config.target, before.bytes)
    genes = tried[found.number].genes
    made, weights = _finish(context, book, shop, found.number, genes, confirmed[found.number])
    record = _record(shop, tried, worths, confirmed, before, found.number) | {"weights": weights}
    return Chosen(made, genes, record, _measured(shop, tried, confirmed, judged, before))


def _asker(shop: Workshop) -> Asker:
    search = shop.config.search
    return Asker(
        shop.space.choices, ("maximize", "minimize"), algorithm=search.algorithm, population=search.population,
        seed=shop.config.seed, name="compression/search", first=shop.space.first,
    )  # fmt: skip


def _objectives(one: Tried) -> Sequence[float]:
    """Right answers, and bytes."""
    worth = Worth.of(one.numbers)
    return (sum(worth.right) / len(worth.right), float(worth.bytes))


def _confirmed(book: Book, shop: Workshop, tried: Sequence[Tried], numbers: Sequence[int]) -> dict[int, Worth]:
    """The front on items that none of them was chosen by; each rank its share, and saved."""
    known: dict[str, list[float]] = book.notes.setdefault(_CONFIRMED, {})
    width, world = len(Worth.none(shop.fresh).numbers), ranks.current().world
    left = [number for number in numbers if str(number) not in known]
    for begin in range(0, len(left), world):
        book.context.check_stop(book.save)
        some = left[begin : begin + world]
        rows = shared([_asked(shop, tried[number], shop.fresh) for number in some], width)
        known |= {str(number): row for number, row in zip(some, rows, strict=True)}
        book.context.progress(len(known), len(numbers), "candidates", "confirmation")
    book.save()
    return {number: Worth.of(known[str(number)]) for number in numbers}


def _asked(shop: Workshop, one: Tried, items: Sequence[Item]) -> Callable[[], Sequence[float]]:
    return lambda: shop.again(one.number, one.genes, items).numbers


def _finish(
    context: Context, book: Book, shop: Workshop, number: int, genes: Genes, judged: Worth
) -> tuple[Candidate, str]:
    """Trained for longer, if anything of it can be; or as it was judged, where that answered better."""
    settings = shop.config.final
    as_judged = shop.made(number, genes)
    if settings is None or genes == shop.space.unsearched:
        return as_judged, AS_JUDGED
    place = book.place / _FINAL if book.place is not None and (book.place / _FINAL).is_dir() else None
    longer = shop.finished(genes, settings, _Training(context, book), place)
    width, last = len(judged.numbers), shop.place(shop.config.search.trials)
    [numbers] = shared([lambda: shop.stored_worth(longer, last, shop.fresh).numbers], width)  # by rank 0, for all
    worth = Worth.of(numbers)
    if (sum(worth.right), -worth.nats) >= (sum(judged.right), -judged.nats):
        return longer, LONGER
    context.log(
        "longer training made it worse on fresh selection items: it stays as the search judged it "
        f"({sum(judged.right)} right to {sum(worth.right)} of {len(judged.right)})"
    )
    return as_judged, AS_JUDGED


class _Training:
    """What the loop of the last training sees: its steps come after the candidates in the run's checkpoints."""

    def __init__(self, context: Context, book: Book) -> None:
        self._context, self._book = context, book

    @property
    def checkpoints(self) -> _Training:
        return self

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        def more(directory: Path) -> None:
            (directory / _FINAL).mkdir()
            write(directory / _FINAL)

        self._book.save(len(self._book.tried) + 1 + step, more)

    def progress(self, done: int, total: int = 0, unit: str = "steps", message: str = "") -> None:
        self._context.progress(done, total, unit, message or "training of the chosen one")

    def measure(self, measurement: Measurement) -> None:
        self._context.measure(measurement)

    def log(self, message: str, level: str = "info") -> None:
        self._context.log(message, level)

    def check_stop(self, save: Callable[[], None] | None = None) -> None:
        self._context.check_stop(save)


def _record(
    shop: Workshop, tried: Sequence[Tried], worths: Mapping[int, Worth], confirmed: Mapping[int, Worth],
    before: Worth, chosen: int,
) -> dict[str, Any]:  # fmt: skip
    """Plain JSON, the same bytes of the same seed."""
    at_first = shop.input(shop.items)
    return {
        "format": 1, "strategy": shop.config.strategy, "algorithm": shop.config.search.algorithm,
        "objectives": ["accuracy", "bytes"], "items": len(shop.items), "fresh_items": len(shop.fresh),
        "space": {gene: list(values) for gene, values in shop.space.choices.items()},
        "not_in_space": dict(shop.space.absent), "input_bytes": before.bytes,
        "candidates": [
            {"number": one.number, "genes": one.genes, "flawed": worths[one.number].flawed}
            | ({} if worths[one.number].flawed else told(shop.items, worths[one.number], at_first))
            for one in tried
        ],
        "front": [
            {"number": number, "genes": tried[number].genes, **told(shop.fresh, worth, before)}
            for number, worth in confirmed.items()
        ],
        "chosen": chosen,
    }  # fmt: skip


def _measured(
    shop: Workshop, tried: Sequence[Tried], confirmed: Mapping[int, Worth], judged: Sequence[Judged], before: Worth
) -> list[Measurement]:
    n = len(tried)
    method = f"of {n} candidates, each stored and read back"
    found = [
        Measurement("compression/candidates", float(n), "1", "made, stored, read back and measured", n),
        Measurement(
            "compression/pareto_front_size", float(len(confirmed)), "1", f"{method}: those that nobody beats", n
        ),
    ]
    for one in judged:
        name = f"compression/front/{one.number}"
        how = (
            f"share of the input's right answers, {len(shop.fresh):,} fresh selection items; spread: standard error"
        )
        found.append(Measurement(f"{name}/retention", one.mean.share, "1", how, len(shop.fresh), one.mean.error))
        ratio = before.bytes / one.bytes
        found.append(Measurement(f"{name}/ratio", ratio, "1", "bytes of the input in float32 over the file's", 1))
    return found
