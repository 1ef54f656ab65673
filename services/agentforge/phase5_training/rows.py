"""Items whose difficulty is steered: rows of them, measurements of them, and batches in which both take turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from torch import nn

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.items import Item
from agentforge.data.loader import ROWS_TRIED, Batch, Loader
from agentforge.data.rows import ItemRows
from agentforge.data.scoring import score_items
from agentforge.data.splits import Split
from agentforge.kit import ranks
from agentforge.kit.measure import Measurement
from agentforge.kit.rng import Rng
from agentforge.phase5_training.edge import Counts, Difficulties, Mix, total
from agentforge.train.evaluate import answers

Answer = Callable[[Sequence[Item]], Sequence[str]]
"""What the model of now says to items, greedily."""


class MixedItems:
    """Items of the training split, of the difficulties of the mix at the moment when one is asked for.

    Which one that is depends on (seed, counters, mix) alone; a changed mix changes no more of them than it must.
    """

    def __init__(self, family: str, levels: Sequence[int], seed: int, mix: Callable[[], Mix]) -> None:
        self.name, self.seed, self.mix = f"{family}/{Split.TRAIN}/mixed", seed, mix
        self.streams = {level: ItemStream(family, Split.TRAIN, seed, (level,)) for level in levels}

    def item(self, *counters: int) -> Item:
        place = Rng(self.seed, f"training/{self.name}", *counters).python().random()
        return self.streams[_chosen(self.mix(), place)].item(*counters)


class MixedRows(ItemRows):
    """A source for a Loader, which numbers rows by (step, g). Not behind a Prefetch: the mix is that of now."""

    def __init__(self, family: str, controller: Difficulties, codec: Codec, length: int, seed: int) -> None:
        self.mixed = MixedItems(family, controller.levels[family], seed, partial(controller.mix, family))
        super().__init__(self.mixed, codec, length)

    def try_all(self) -> None:
        """Rows of every difficulty: one that never fits is found here, and not when the model has come so far."""
        for stream in self.mixed.streams.values():
            rows = ItemRows(stream, self.codec, self.length)
            for number in range(max(1, ROWS_TRIED // len(self.mixed.streams))):
                rows.row(number)


class Measuring:
    """Asks the model fresh items of each family at its difficulty, and tells the controller how many were right."""

    def __init__(
        self,
        controller: Difficulties,
        answer: Answer,
        seed: int,
        measure: Callable[[Measurement], object] = lambda _: None,
    ) -> None:
        self.controller, self.answer, self.measure = controller, answer, measure
        seed = Rng(seed, "training/edge").seed  # items other than those of the rows, but for what chance repeats
        self._items = {
            family: MixedItems(family, levels, seed, partial(controller.mix, family))
            for family, levels in controller.levels.items()
        }

    def __call__(self, step: int, repeat: int = 0) -> None:
        count = self.controller.config.items
        asked = [mixed.item(step, repeat, place) for mixed in self._items.values() for place in range(count)]
        right = score_items(asked, self.answer(asked))
        for place, family in enumerate(self._items):
            mine = slice(place * count, (place + 1) * count)
            counts = _counted(asked[mine], right[mine])
            self._tell(family, total(counts)[0] / count, count, step)
            self.controller.observe(family, counts, step=step)

    def _tell(self, family: str, success: float, count: int, step: int) -> None:
        name, method = (
            f"forge/edge_control_success_rate/{family}",
            "exact answers to fresh items of the mix of now",
        )
        self.measure(Measurement(name, success, "1", method, count, None, step))
        name, method = f"forge/difficulty/{family}", "mean over the mix of now"
        self.measure(Measurement(name, self.controller.difficulty(family), "1", method, count, None, step))


class SteeredBatches:
    """Batches of a loader, with measurements before every so many optimiser steps, and several before the first.

    So the controller's state travels in that of the batches. A resume measures again only what was not saved.
    """

    def __init__(self, loader: Loader, measure: Measuring, accumulation: int = 1) -> None:
        self.loader, self.measure, self.accumulation = loader, measure, accumulation

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        step, part = divmod(self.loader.step, self.accumulation)
        config = self.measure.controller.config
        if part == 0 and step % config.every == 0:
            for repeat in range(1 if step else config.settling):
                self.measure(step, repeat)
        return next(self.loader)

    def state_dict(self) -> dict[str, Any]:
        return {"loader": self.loader.state_dict(), "controller": self.measure.controller.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.loader.load_state_dict(state["loader"])
        self.measure.controller.load_state_dict(state["controller"])


def answering(model: nn.Module, codec: Codec, batch: int) -> Answer:
    """Exact greedy answers in the middle of a training, which goes on as if nothing had been asked."""

    def answer(items: Sequence[Item]) -> Sequence[str]:
        training = model.training
        model.eval()
        said = answers(model, codec, items, batch=batch)
        model.train(training)
        return said

    return answer


def _counted(items: Sequence[Item], right: Sequence[bool]) -> Counts:
    """By difficulty. Every rank asks the same; where one hears something else, the first is believed."""
    found = {}
    for level in sorted({item.difficulty for item in items}):
        scores = [score for item, score in zip(items, right, strict=True) if item.difficulty == level]
        found[level] = (round(ranks.current().agree(sum(scores))), len(scores))
    return found


def _chosen(mix: Mix, place: float) -> int:
    """`place` from 0 to below 1."""
    *levels, last = mix
    for level in levels:
        if place < mix[level]:
            return level
        place -= mix[level]
    return last
