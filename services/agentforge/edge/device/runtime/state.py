"""The model's state between runs: a ring of window entries, and the long-term memory.

The graph never returns its past; this writes what is new into place. Shapes: B rows, T new tokens, P window places,
S memory places, H heads, K head size, D hidden. A row's token at position p lies at place p % P of the ring.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from .contract import Graph
from .errors import ContextFull
from .memory import LayerMemory

SMALLEST = 16  # places; from here the ring doubles


class State:
    def __init__(self, graph: Graph, batch: int = 1) -> None:
        self.graph = graph
        self.length = np.zeros(batch, np.int64)  # real tokens that each row has seen
        layers = graph.memory.layers if graph.memory else ()
        self.memories = {layer: LayerMemory(graph, batch) for layer in layers}
        # Never without a place: onnxruntime and TensorRT both have trouble with sizes of zero.
        places = SMALLEST if graph.longest_past is None else min(SMALLEST, graph.longest_past)
        self._position = np.full((batch, places), -1, np.int32)
        shape = (batch, graph.heads, places, graph.head_size)
        names = (f"window.{number}.{part}" for number in range(graph.windows) for part in ("key", "value"))
        self._rings = {name: np.zeros(shape, np.float32) for name in names}
        self._new = {name: name.replace("window", "new") for name in self._rings}

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        """Views, not copies: run the graph before the next write."""
        fed = {"past_position": self._position, **self._rings}
        for layer, memory in self.memories.items():
            fed.update((f"memory.{layer}.{name}", array) for name, array in memory.inputs.items())
        return fed

    def pieces(self, rows: Sequence[Sequence[int]]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """New tokens of every row, cut where the graph must be cut: (ids, positions), both int32 (B, T).

        Padding (id 0, position -1) stands left. No piece crosses the end of a chunk of the memory.
        """
        starts = self.length.copy()
        self._check_room(starts, rows)
        done = np.zeros(len(rows), np.int64)
        while any(done[row] < len(ids) for row, ids in enumerate(rows)):
            sizes = [min(len(ids) - int(done[row]), self._room(int(starts[row]))) for row, ids in enumerate(rows)]
            shape = (len(rows), max(sizes))
            ids_BT, position_BT = np.zeros(shape, np.int32), np.full(shape, -1, np.int32)
            for row, size in enumerate(sizes):
                if size:
                    ids_BT[row, -size:] = rows[row][done[row] : done[row] + size]
                    position_BT[row, -size:] = np.arange(starts[row], starts[row] + size)
            yield ids_BT, position_BT
            done += sizes
            starts += sizes

    def write(self, position_BT: np.ndarray, outputs: Mapping[str, np.ndarray]) -> None:
        """Take in what one run of the graph made. A column whose position is -1 writes nothing."""
        counts = (position_BT >= 0).sum(1)
        self._grow(int((self.length + counts).max()))
        places = self._position.shape[1]
        for row in np.flatnonzero(counts):
            last = position_BT.shape[1]
            first = last - min(int(counts[row]), places)  # what is older would be overwritten at once
            for new, place in spans(first, last, int(position_BT[row, first]) % places, places):
                self._position[row, place] = position_BT[row, new]
                for name, stored in self._rings.items():
                    stored[row, :, place] = outputs[self._new[name]][row, :, new]
        for layer, memory in self.memories.items():
            memory.write(position_BT, counts, {name: outputs[f"memory.{layer}.{name}"] for name in memory.OUTPUTS})
        self.length += counts

    def _room(self, start: int) -> int:
        """Tokens that one run may take from here."""
        memory = self.graph.memory
        return self.graph.piece if memory is None else min(self.graph.piece, memory.chunk - start % memory.chunk)

    def _check_room(self, starts: np.ndarray, rows: Sequence[Sequence[int]]) -> None:
        if len(rows) != len(starts):
            raise ValueError(f"{len(rows)} rows for a state of {len(starts)}")
        context = self.graph.context
        for row, ids in enumerate(rows):
            total = int(starts[row]) + len(ids)
            if context is not None and total > context:
                seen = f" after {starts[row]} that it has seen" if starts[row] else ""
                raise ContextFull(f"{len(ids)} tokens{seen} do not fit into the model's context of {context}")

    def _grow(self, needed: int) -> None:
        longest = self.graph.longest_past
        old = self._position.shape[1]
        if needed <= old or old == longest:
            return
        new = max(SMALLEST, 1 << (needed - 1).bit_length())
        new = new if longest is None else min(new, longest)
        # Until the ring is as long as it may get, position p lies at place p: nothing moves.
        self._position = widened(self._position, 1, new, -1)
        self._rings = {name: widened(stored, 2, new) for name, stored in self._rings.items()}


def spans(first: int, last: int, place: int, places: int) -> list[tuple[slice, slice]]:
    """Columns, and the ring's places that they go to: two stretches where the ring's end lies between."""
    fits = min(last - first, places - place)
    found = [(slice(first, first + fits), slice(place, place + fits))]
    return found if first + fits == last else [*found, (slice(first + fits, last), slice(last - first - fits))]


def widened(array: np.ndarray, axis: int, size: int, fill: float = 0) -> np.ndarray:
    shape = list(array.shape)
    shape[axis] = size
    wide = np.full(shape, fill, array.dtype)
    wide[(slice(None),) * axis + (slice(array.shape[axis]),)] = array
    return wide
