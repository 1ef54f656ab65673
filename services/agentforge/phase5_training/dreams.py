"""Dreams: now and then some steps on rows seen before and on the model's own right answers to what it once learned.

In effect generative replay (Shin et al. 2017), with the model itself as the generator and the exact scorer as the
filter. What was seen is remembered by source and number, so the memory is small and its rows are made again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.data.loader import Batch, Loader
from agentforge.data.rows import IGNORED, ItemRows, Numbered, Row, RowSource
from agentforge.data.scoring import score_items
from agentforge.kit.errors import InvalidInput
from agentforge.kit.measure import Measurement
from agentforge.kit.rng import Rng
from agentforge.phase5_training.configs.dreams import DreamsConfig
from agentforge.phase5_training.rows import MixedRows
from agentforge.phase5_training.sampling import answerable, answers, said_row
from agentforge.train.loop import Batches, Closable, model_loss
from agentforge.train.state import own_tensors

Reference = tuple[int, int, int]  # source, number of a row there, and its difficulty where that is steered, else 0


@dataclass(frozen=True)
class Told:
    """A remembered prompt, answered rightly by the model. `said`: how many of the last ids are the model's."""

    source: int
    ids: list[int]
    said: int

    def row(self) -> Row:
        return said_row(self.ids, self.said)


class Memory:
    """An even sample of all rows that passed (Vitter's algorithm R). It needs to know where they came from: the
    n-th row that passes of a source must be its row n, as a Loader takes them. Of streams it keeps nothing.
    """

    def __init__(self, sources: Sequence[RowSource], size: int, seed: int) -> None:
        if not any(isinstance(source, Numbered) for source in sources):
            step = "Switch dreams off (every 0), or prepare the text as token shards."
            message = "rows of streams cannot be read again, and there are no others to dream of"
            raise InvalidInput(message, reason="NOTHING_TO_REMEMBER", field="dreams.every", next_step=step)
        self.sources, self.size, self.seed = list(sources), size, seed
        self.references: list[Reference] = []
        self.recent: set[int] = set()  # sources that passed since the last dream
        self._passed = [0] * len(self.sources)
        self._batches = self._offered = 0

    def see(self, source_B: NDArray[np.int64]) -> None:
        chances = Rng(self.seed, "training/dreams/memory", self._batches).numpy().random(len(source_B))
        self._batches += 1
        for source, chance in zip(source_B.tolist(), chances.tolist(), strict=True):
            number = self._passed[source]
            self._passed[source] += 1
            self.recent.add(source)
            if isinstance(self.sources[source], Numbered):
                self._offer(source, number, chance)

    def row(self, reference: Reference) -> Row:
        return self._rows(reference).row(reference[1])

    def earlier(self) -> list[tuple[int, Item]]:
        """Remembered items, with their source, of families that passed before the last dream and not since; of all,
        where there are no such. Without those that need a tool's result: the model alone cannot answer them.
        """
        recent = {self.sources[source].name for source in self.recent}
        found = []
        for reference in self.references:
            rows, (source, number, _) = self._rows(reference), reference
            if isinstance(rows, ItemRows):
                item = rows.items.item(number, 0) if rows.packed else rows.items.item(number)
                if answerable(item):
                    found.append((source, item))
        gone = [(source, item) for source, item in found if self.sources[source].name not in recent]
        return gone or found

    def state_dict(self) -> dict[str, Any]:
        counts = {"passed": self._passed, "batches": self._batches, "offered": self._offered}
        return {**counts, "references": [list(each) for each in self.references], "recent": sorted(self.recent)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._passed, self._batches, self._offered = list(state["passed"]), state["batches"], state["offered"]
        self.references = [(source, number, level) for source, number, level in state["references"]]
        self.recent = set(state["recent"])

    def _offer(self, source: int, number: int, chance: float) -> None:
        self._offered += 1
        place = int(chance * self._offered)
        if len(self.references) < self.size:
            self.references.append(self._reference(source, number))
        elif place < self.size:
            self.references[place] = self._reference(source, number)

    def _reference(self, source: int, number: int) -> Reference:
        """Of a steered source, row n is another one once the mix has changed: so its difficulty is kept."""
        rows = self.sources[source]
        return source, number, rows.mixed.item(number).difficulty if isinstance(rows, MixedRows) else 0

    def _rows(self, reference: Reference) -> RowSource:
        source, _, level = reference
        rows = self.sources[source]
        return ItemRows(rows.mixed.streams[level], rows.codec, rows.length) if isinstance(rows, MixedRows) else rows


class _Night(Numbered):
    """The rows of all dreams, by number: replayed or told, by counted dice."""

    name = "dreams"

    def __init__(self, memory: Memory, replayed: float, seed: int) -> None:
        self.memory, self.replayed, self.seed = memory, replayed, seed
        self.told: list[Told] = []

    def pick(self, number: int) -> Reference | Told:
        dice = Rng(self.seed, "training/dreams/row", number).python()
        if self.told and dice.random() >= self.replayed:
            return dice.choice(self.told)
        return dice.choice(self.memory.references)

    def row(self, number: int) -> Row:
        picked = self.pick(number)
        return picked.row() if isinstance(picked, Told) else self.memory.row(picked)


class Dreams:
    """A `Batches` around another, which passes untouched while the model is awake.

    `sources`: those that `batch.source` counts. `rows`: of a batch. `passes`: batches of one optimiser step.
    Never wrap it into a Prefetch: it answers with the model as it is when a dream begins.
    """

    def __init__(
        self,
        loader: Batches,
        sources: Sequence[RowSource],
        model: Any,
        codec: Codec,
        config: DreamsConfig,
        *,
        seed: int,
        rows: int,
        passes: int = 1,
        length: int | None = None,  # pad to it, as Loader does
        measure: Callable[[Measurement], object] = lambda _: None,
    ) -> None:
        self.loader, self.model, self.codec, self.config, self.seed = loader, model, codec, config, seed
        self._measure, self._rows, self._passes = measure, rows, passes
        self.handed = 0  # batches
        self.start: dict[str, Tensor] = {}  # the model when the dream began, where it is anchored
        self._counts = [0, 0]  # rows of this dream, replayed and told
        if config.every:
            self.memory = Memory(sources, config.memory, seed)
            self._night = _Night(self.memory, config.replayed, seed)
            self._nightly = Loader([(self._night, 1.0)], batch=rows, pad=codec.pad, seed=seed, length=length)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if not self.config.every:
            return next(self.loader)
        awake = self.config.every * self._passes
        number, place = divmod(self.handed, awake + self.config.steps * self._passes)
        if place == 0 and number:
            self._wake()
        if place == awake:
            self._fall_asleep(number)
        self.handed += 1
        return self._dream() if place >= awake else self._awake()

    @property
    def told(self) -> list[Told]:
        """The model's own rows of this dream."""
        return self._night.told if self.config.every else []

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """A `LossOf`: the model's own, and in a dream the anchor's where there is one."""
        if not self.start:
            return model_loss(model, batch)
        out = model(**batch)
        total: Tensor = out.loss + self.config.anchor * self.divergence(model, out.logits, batch)
        return total

    def divergence(self, model: nn.Module, logits_BTV: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """KL(model at the dream's start || model) in nats, mean over learned tokens; for dreams with anchor."""
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        with torch.no_grad():
            then_BTV = functional_call(model, self.start, kwargs=inputs).logits
        learned_BT = batch["labels"][:, 1:] != IGNORED
        now_XV, then_XV = (F.log_softmax(each[:, :-1][learned_BT].float(), -1) for each in (logits_BTV, then_BTV))
        return F.kl_div(now_XV, then_XV, log_target=True, reduction="batchmean")

    def state_dict(self) -> dict[str, Any]:
        if not self.config.every:
            return {"awake": self.loader.state_dict()}
        return {
            "awake": self.loader.state_dict(), "memory": self.memory.state_dict(), "handed": self.handed,
            "asleep": self._nightly.state_dict(), "told": [asdict(each) for each in self._night.told],
            "counts": list(self._counts),
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.loader.load_state_dict(state["awake"])
        if self.config.every:
            self.memory.load_state_dict(state["memory"])
            self._nightly.load_state_dict(state["asleep"])
            self._night.told = [Told(**each) for each in state["told"]]
            self.handed, self._counts = state["handed"], list(state["counts"])

    def close(self) -> None:
        if isinstance(self.loader, Closable):
            self.loader.close()

    def tensors(self) -> dict[str, Tensor]:
        """What the anchor needs amid a dream; else nothing."""
        return self.start

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        self.start = {name: tensor.to(self.model.device, copy=True) for name, tensor in tensors.items()}

    def _awake(self) -> Batch:
        batch = next(self.loader)
        self.memory.see(batch.source)
        return batch

    def _dream(self) -> Batch:
        first = self._nightly.step * self._rows
        picked = [self._night.pick(number) for number in range(first, first + self._rows)]
        for each in picked:
            self._counts[isinstance(each, Told)] += 1
        sources = [each.source if isinstance(each, Told) else each[0] for each in picked]
        return replace(next(self._nightly), source=np.array(sources, np.int64))

    def _fall_asleep(self, number: int) -> None:
        self._counts = [0, 0]
        if self.config.anchor:
            self.start = {name: tensor.clone() for name, tensor in own_tensors(self.model).items()}
        if self.config.replayed < 1:
            self._night.told = self._tell(number)

    def _wake(self) -> None:
        replayed, told = self._counts
        method = f"rows of one dream: {replayed:,} seen before, {told:,} the model's own"
        self._measure(
            Measurement("forge/dream/rows", replayed + told, "1", method, replayed + told, None, self._step)
        )
        self._night.told, self.start = [], {}
        self.memory.recent.clear()

    def _tell(self, number: int) -> list[Told]:
        known = self.memory.earlier()
        dice = Rng(self.seed, "training/dreams/prompts", number).python()
        asked = dice.sample(known, min(self.config.prompts, len(known)))
        if not asked:
            return []
        items = [item for _, item in asked]
        key = Rng(self.seed, "training/dreams/answers", number).seed
        said = answers(self.model, self.codec, items, self.config.temperature, key, self.config.batch)
        right = score_items(items, [self.codec.text(ids) for ids in said])
        kept = [
            told
            for (source, item), ids, was_right in zip(asked, said, right, strict=True)
            if was_right and (told := self._as_row(source, item, ids)) is not None
        ]
        method = f"right and finished answers to remembered items, at temperature {self.config.temperature}"
        share = len(kept) / len(asked)
        self._measure(Measurement("forge/dream/kept_share", share, "1", method, len(asked), None, self._step))
        return kept

    def _as_row(self, source: int, item: Item, said: list[int]) -> Told | None:
        """None: the model did not end it, or it is longer than a row may be."""
        rows = self.memory.sources[source]
        assert isinstance(rows, ItemRows)
        ids = [*self.codec.prompt_ids(item.prefix + item.prompt), *said]
        return Told(source, ids, len(said)) if said[-1:] == [self.codec.eos] and len(ids) <= rows.length else None

    @property
    def _step(self) -> int:
        return self.handed // self._passes
