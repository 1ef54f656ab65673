"""graph.json: what a runtime must know of a model's state to run its graph. Free of torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

PIECE = 64  # most new tokens of one call, where no memory's chunk says it
FORMAT = 1


@dataclass(frozen=True)
class MemoryFacts:
    """`layers` hold a long-term memory; see models/memory_titan.py."""

    layers: tuple[int, ...]
    slots: int
    chunk: int
    keep_by: str  # surprise_novelty or fifo
    log_decay: float  # of a token that passes


@dataclass(frozen=True)
class GraphFacts:
    """`windows`: pairs of keys and values; Titan has one for each layer in each pass. `window`: tokens that a token
    sees, None where it sees all; `context`: most tokens of a text, None where there is no limit."""

    vocabulary: int
    hidden: int
    heads: int  # of keys
    head_size: int
    windows: int
    window: int | None
    context: int | None
    piece: int = PIECE
    memory: MemoryFacts | None = None
    bos: int | None = None
    eos: int | None = None

    @property
    def record(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}

    def inputs(self) -> Iterator[tuple[str, str, tuple[str | int, ...]]]:
        """Name, type and shape of each, in the file's order."""
        yield "input_ids", "int32", ("batch", "time")
        yield "position", "int32", ("batch", "time")
        yield "past_position", "int32", ("batch", "past")
        for index in range(self.windows):
            for part in ("key", "value"):
                yield f"window.{index}.{part}", "float32", ("batch", self.heads, "past", self.head_size)
        for layer in self.memory.layers if self.memory else ():
            for part in ("key", "value"):
                yield f"memory.{layer}.{part}", "float32", ("batch", "stored", self.hidden)
            yield f"memory.{layer}.score", "float32", ("batch", "stored")
            yield f"memory.{layer}.position", "int32", ("batch", "stored")
            yield f"memory.{layer}.momentum", "float32", ("batch",)

    def outputs(self) -> Iterator[tuple[str, str, tuple[str | int, ...]]]:
        yield "logits", "float32", ("batch", self.vocabulary)
        for index in range(self.windows):
            for part in ("key", "value"):
                yield f"new.{index}.{part}", "float32", ("batch", self.heads, "time", self.head_size)
        for layer in self.memory.layers if self.memory else ():
            for part in ("new_key", "new_value"):
                yield f"memory.{layer}.{part}", "float32", ("batch", "time", self.hidden)
            for part in ("new_score", "new_rank"):
                yield f"memory.{layer}.{part}", "float32", ("batch", "time")
            yield f"memory.{layer}.new_momentum", "float32", ("batch",)
