"""Batches: rows of several sources, mixed by weight, in one order that every rank and every resume agrees on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agentforge.data.rows import IGNORED, Ids, Row, RowSource
from agentforge.kit.errors import FailedPrecondition, InvalidInput
from agentforge.kit.rng import Rng

if TYPE_CHECKING:
    import torch


ROWS_TRIED = 200  # of each source before a training: what does not fit is found then, or is very rare


@dataclass(frozen=True, slots=True)
class Batch:
    """Arrays of shape [batch, length]; of shape [batch], `source` says which source a row is of, and `weight` what
    its tokens weigh (an advantage, say), where there is a loss that reads it. `beside`: as another model reads it.
    """

    input_ids: Ids
    labels: Ids
    attention_mask: Ids
    source: NDArray[np.int64]
    weight: NDArray[np.float32] | None = None
    beside: Batch | None = None

    def torch(self, device: str = "cpu") -> dict[str, torch.Tensor]:
        """What a Hugging Face model takes: model(**batch.torch()); what is beside it has names with `beside_`."""
        import torch

        arrays: dict[str, NDArray[Any]] = {
            "input_ids": self.input_ids, "labels": self.labels, "attention_mask": self.attention_mask,
        }  # fmt: skip
        if self.weight is not None:
            arrays["weight"] = self.weight
        found = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
        if self.beside is not None:
            found |= {f"beside_{name}": tensor for name, tensor in self.beside.torch(device).items()}
        return found

    def rows(self, chosen: slice) -> Batch:
        weight = None if self.weight is None else self.weight[chosen]
        beside = None if self.beside is None else self.beside.rows(chosen)
        ids, labels, mask = self.input_ids[chosen], self.labels[chosen], self.attention_mask[chosen]
        return Batch(ids, labels, mask, self.source[chosen], weight, beside)


class Loader:
    """An endless iterator. The source of row g of a step, and its number there, depend on (seed, step, g) alone:
    so w ranks with b rows each see together what one rank with w·b rows sees. (Streams are read by shards.)

    `length`: pad to it; None: pad to the longest row of the batch.
    """

    def __init__(
        self,
        sources: Sequence[tuple[RowSource, float]],
        *,
        batch: int,
        pad: int,
        seed: int,
        length: int | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.sources = [source for source, _ in sources]
        self._weights = _normal([weight for _, weight in sources])
        self.batch, self.pad, self.seed, self.length = batch, pad, seed, length
        self.rank, self.world = rank, world
        self.step = 0
        self._taken = [0] * len(self.sources)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        whole = self.batch * self.world
        picks = Rng(self.seed, "data/mix", self.step).numpy().choice(len(self.sources), whole, p=self._weights)
        mine = range(self.rank * self.batch, (self.rank + 1) * self.batch)
        rows = []
        for place, which in enumerate(picks.tolist()):
            if place in mine:
                rows.append(self.sources[which].row(self._taken[which]))
            self._taken[which] += 1
        self.step += 1
        return batch_of(rows, self.length, self.pad, picks[mine.start : mine.stop])

    def state_dict(self) -> dict[str, Any]:
        """Plain JSON: the place of the next batch."""
        inner = [source.state_dict() for source in self.sources]
        return {**self._identity(), "step": self.step, "taken": list(self._taken), "sources": inner}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, value in self._identity().items():
            if state[name] != value:
                message = f"the checkpoint's data has {name} {state[name]}, this run has {value}"
                step = "Resume with the data settings of the run, or start a new run."
                raise FailedPrecondition(message, reason="DATA_CHANGED", field=f"data.{name}", next_step=step)
        self.step, self._taken = state["step"], list(state["taken"])
        for source, inner in zip(self.sources, state["sources"], strict=True):
            source.load_state_dict(inner)

    def _identity(self) -> dict[str, Any]:
        """What must be the same for a state to mean the same batches."""
        names = [source.name for source in self.sources]
        rows = self.batch * self.world
        return {"seed": self.seed, "rows_per_step": rows, "names": names, "weights": self._weights}


class Prefetch:
    """Makes batches in a thread while the model works. Its state is of what was handed out, not of what waits."""

    def __init__(self, loader: Loader, depth: int = 4) -> None:
        self._loader, self._depth = loader, depth
        self._stopped = threading.Event()
        self._begin()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if self._stopped.is_set():
            raise RuntimeError("these batches were closed")  # or it would wait for ever
        made, state = self._waiting.get()
        if isinstance(made, BaseException):
            self._waiting.put((made, state))  # whoever asks again gets it again, instead of waiting for ever
            raise made
        self._state = state
        return made

    def state_dict(self) -> dict[str, Any]:
        return self._state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.close()
        self._loader.load_state_dict(state)
        self._begin()

    def close(self) -> None:
        """Stop the thread; the loader stands somewhere ahead and is to be used no more without a state."""
        self._stopped.set()
        while self._thread.is_alive():
            _drain(self._waiting)
            self._thread.join(0.01)

    def _begin(self) -> None:
        self._state = self._loader.state_dict()
        self._waiting: queue.Queue[tuple[Batch | BaseException, dict[str, Any]]] = queue.Queue(self._depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="data-prefetch", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._stopped.is_set():
            try:
                made: Batch | BaseException = next(self._loader)
            except BaseException as error:  # handed to the reader, which raises it
                made = error
            self._waiting.put((made, self._loader.state_dict()))
            if isinstance(made, BaseException):
                return


def _drain(waiting: queue.Queue[Any]) -> None:
    while not waiting.empty():
        waiting.get_nowait()


def even_loader(sources: Sequence[RowSource], *, batch: int, pad: int, seed: int) -> Loader:
    """All sources alike, their first rows tried."""
    for source in sources:
        for number in range(ROWS_TRIED):
            source.row(number)
    return Loader([(source, 1.0) for source in sources], batch=batch, pad=pad, seed=seed)


def _normal(weights: list[float]) -> list[float]:
    if not weights or min(weights) < 0 or sum(weights) <= 0:
        message = f"the weights of the data sources are {weights}"
        step = "Give at least one source, no weight below zero and one above."
        raise InvalidInput(message, reason="BAD_WEIGHTS", field="data.weights", next_step=step)
    return [weight / sum(weights) for weight in weights]


def batch_of(rows: list[Row], length: int | None, pad: int, source: NDArray[np.int64]) -> Batch:
    """`beside` where the rows have it: all or none, since a loss compares the same tokens in both."""
    width = length or max(len(row.ids) for row in rows)
    ids = np.full((len(rows), width), pad, np.int64)
    labels = np.full((len(rows), width), IGNORED, np.int64)
    mask = np.zeros((len(rows), width), np.int64)
    for place, row in enumerate(rows):
        size = len(row.ids)
        ids[place, :size], labels[place, :size], mask[place, :size] = row.ids, row.labels, 1
    others = [row.beside for row in rows if row.beside is not None]
    if others and len(others) < len(rows):
        raise ValueError(f"{len(others)} of {len(rows)} rows have another beside them")
    beside = batch_of(others, None, pad, source) if others else None
    return Batch(ids, labels, mask, source, beside=beside)
