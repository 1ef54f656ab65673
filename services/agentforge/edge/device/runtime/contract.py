"""What the graph is, as graph.json tells it, and the names of its inputs and outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from .errors import BrokenPackage

FORMAT = 1


class Memory(NamedTuple):
    layers: tuple[int, ...]
    slots: int
    chunk: int  # tokens; what they wrote becomes readable at its end
    keep_by: str  # "surprise_novelty" or "fifo": who stays when there are more entries than slots
    log_decay: float


class Graph(NamedTuple):
    vocabulary: int
    hidden: int
    heads: int  # of keys
    head_size: int
    windows: int
    window: int | None  # tokens that attention reaches back; None: all
    context: int | None
    piece: int  # most tokens of one run
    memory: Memory | None
    eos: int | None
    bos: int | None

    @property
    def longest_past(self) -> int | None:
        """Window entries that can ever be needed."""
        bounds = [bound for bound in (self.window, self.context) if bound is not None]
        return min(bounds) if bounds else None


def load_graph(file: Path) -> Graph:
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        if told.pop("format") != FORMAT:
            raise ValueError("only format 1 is known")
        memory = told.pop("memory")
        told["memory"] = None if memory is None else Memory(**dict(memory, layers=tuple(memory["layers"])))
        graph = Graph(**{name: told[name] for name in Graph._fields})
        if graph.memory is not None and graph.memory.keep_by not in ("surprise_novelty", "fifo"):
            raise ValueError("keep_by must be surprise_novelty or fifo, not " + str(graph.memory.keep_by))
        return graph
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BrokenPackage(f"{file} does not describe a graph: {error!r}") from error
