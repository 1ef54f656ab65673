"""One layer's long-term memory: what was written, what is still waiting, and who stays.

A token reads what earlier chunks wrote. So entries of the running chunk wait; at its end they join the settled
ones, of which the `slots` with the highest order stay. That order is fixed when an entry is written, so the
survivors are the same whether tokens come together or one by one.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .contract import Graph

FIELDS = ("key", "value", "score", "position", "order")


class LayerMemory:
    OUTPUTS = ("new_key", "new_value", "new_score", "new_rank", "new_momentum")

    def __init__(self, graph: Graph, batch: int) -> None:
        if graph.memory is None:
            raise ValueError("the graph has no memory")
        self.rule = graph.memory
        self._settled = self._room(batch, min(self.rule.chunk, self.rule.slots), graph.hidden)
        self._pending = self._room(batch, self.rule.chunk, graph.hidden)
        self._count = np.zeros(batch, np.int64)  # settled entries
        self._waiting = np.zeros(batch, np.int64)
        self._momentum = np.zeros(batch, np.float32)

    @staticmethod
    def _room(batch: int, places: int, hidden: int) -> dict[str, np.ndarray]:
        flat, wide = (batch, places), (batch, places, hidden)
        return {
            "key": np.zeros(wide, np.float32), "value": np.zeros(wide, np.float32),
            "score": np.zeros(flat, np.float32), "position": np.full(flat, -1, np.int32),
            "order": np.zeros(flat, np.float32),
        }  # fmt: skip

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        """What the graph reads: settled entries only; empty places have the position -1."""
        fed = {name: self._settled[name] for name in ("key", "value", "score", "position")}
        fed["momentum"] = self._momentum
        return fed

    def write(self, position_BT: np.ndarray, counts: np.ndarray, new: Mapping[str, np.ndarray]) -> None:
        """`counts` (B): real tokens of each row; they stand right, and belong to one chunk."""
        for row in np.flatnonzero(counts):
            size, start = int(counts[row]), int(self._waiting[row])
            if start + size > self.rule.chunk:
                raise ValueError(f"{size} tokens cross the end of a chunk of {self.rule.chunk}")
            position, rank = position_BT[row, -size:], new["new_rank"][row, -size:]
            fresh = {"key": new["new_key"], "value": new["new_value"], "score": new["new_score"]}
            for name, array in fresh.items():
                self._pending[name][row, start : start + size] = array[row, -size:]
            self._pending["position"][row, start : start + size] = position
            self._pending["order"][row, start : start + size] = self._order(position, rank)
            self._momentum[row] = new["new_momentum"][row]
            self._waiting[row] = start + size
            if self._waiting[row] == self.rule.chunk:
                self._settle(int(row))

    def _order(self, position: np.ndarray, rank: np.ndarray) -> np.ndarray:
        """In single precision, operation by operation as the model does: near ties must fall the same way."""
        as_float = position.astype(np.float32)
        return as_float if self.rule.keep_by == "fifo" else rank - as_float * np.float32(self.rule.log_decay)

    def _settle(self, row: int) -> None:
        """What waited takes free places, then those of settled entries that it outranks."""
        size, held = self.rule.chunk, int(self._count[row])
        total = min(held + size, self.rule.slots)
        self._grow(total)
        order = np.concatenate([self._settled["order"][row, :held], self._pending["order"][row]])
        stays = np.zeros(held + size, bool)
        stays[np.argsort(-order, kind="stable")[:total]] = True  # of equals, the older
        places = np.concatenate([np.flatnonzero(~stays[:held]), np.arange(held, total)])
        newcomers = np.flatnonzero(stays[held:])
        for name in FIELDS:
            self._settled[name][row, places] = self._pending[name][row, newcomers]
        self._count[row], self._waiting[row] = total, 0

    def _grow(self, needed: int) -> None:
        old = self._settled["position"].shape[1]
        if needed <= old:
            return
        new = min(1 << (needed - 1).bit_length(), self.rule.slots)
        batch, _, hidden = self._settled["key"].shape
        room = self._room(batch, new, hidden)
        for name, array in room.items():
            array[:, :old] = self._settled[name]
        self._settled = room
