"""How much memory a model takes at a context length, and the longest context that a device has room for.

Counted from the graph and from how the runtime grows its state (edge/device/runtime): rings and memories double.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agentforge.edge.graph.facts import GraphFacts
from agentforge.kit.errors import InvalidInput
from agentforge.phase7_adas.analysis.devices import GIB, Device
from agentforge.phase7_adas.analysis.roofline import KIND, Precision
from agentforge.phase7_adas.analysis.trace import Trace, trace
from agentforge.phase7_adas.analysis.values import package

SMALLEST_RING = 16  # as the runtime's
ASSUMED = (
    "intermediate results as the graph names them, nothing fused, nothing in place",
    "the persistent tokens' keys and values are among the weights",
    "the runtime's own code and libraries are not counted",
)


@dataclass(frozen=True, slots=True)
class Need:
    context: int
    weights: int  # bytes
    window: int
    memory: int
    activations: int  # at the peak of a piece of new tokens, with the state of the whole context

    @property
    def total(self) -> int:
        return self.weights + self.window + self.memory + self.activations

    def record(self) -> dict[str, Any]:
        return {
            "kind": KIND, "context": self.context, "weights": self.weights, "window": self.window,
            "memory": self.memory, "peak_activations": self.activations, "total": self.total,
            "assumptions": list(ASSUMED),
        }  # fmt: skip


class Sizes:
    """One model's needs. The graph is walked once for each size that its state can have."""

    def __init__(self, model: Any, facts: GraphFacts, batch: int = 1) -> None:
        self.facts, self.batch = facts, batch
        self._model = package("onnx").load(model) if not hasattr(model, "graph") else model
        self._seen: dict[tuple[int, int, int], Trace] = {}

    def dims(self, context: int, time: int) -> dict[str, int]:
        """Of a step of so many new tokens, once `context` tokens were seen."""
        return {"batch": self.batch, "time": time, "past": self._past(context), "stored": self._stored(context)}

    def trace(self, context: int, time: int) -> Trace:
        dims = self.dims(context, time)
        key = time, dims["past"], dims["stored"]
        if key not in self._seen:
            self._seen[key] = trace(self._model, dims)
        return self._seen[key]

    def need(self, context: int, kept: Precision) -> Need:
        traced = self.trace(context, self.piece)
        facts, dims = self.facts, traced.dims
        entry = 2 * facts.windows * facts.heads * facts.head_size + 1  # and its position
        window = 4 * self.batch * dims["past"] * entry
        weights = int(traced.stored_at(kept.weight_bits))
        return Need(context, weights, window, self._memory(dims["stored"]), traced.peak_activation_bytes)

    def largest_context(self, device: Device, kept: Precision) -> int | None:
        """0 where not even the shortest fits; None where the state stops growing and still fits: no limit."""
        most = self.facts.context or self._saturated
        if most is None:  # a window without end and no limit: find one that is too much
            most = 2 * SMALLEST_RING
            while self._fits(most, device, kept):
                most *= 2
        if self._fits(most, device, kept):
            return self.facts.context
        low, high = 0, most
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._fits(middle, device, kept) else (low, middle)
        return low

    def check(self, context: int, device: Device, kept: Precision, *, field: str) -> Need:
        """Refuses a context that the device has no room for, or that the model does not take."""
        limit = self.facts.context
        if limit is not None and context > limit:
            message = f"a context of {context:,} tokens is beyond the model's own {limit:,}"
            raise InvalidInput(
                message, reason="CONTEXT_BEYOND_MODEL", field=field, next_step=f"Take {limit:,} or less."
            )
        need = self.need(context, kept)
        if need.total > device.usable_bytes:
            raise self._too_long(need, device, kept, field)
        return need

    @property
    def piece(self) -> int:
        memory = self.facts.memory
        return self.facts.piece if memory is None else min(self.facts.piece, memory.chunk)

    @property
    def _saturated(self) -> int | None:
        """Tokens from which on no state grows; None: it always does."""
        memory, longest = self.facts.memory, self._longest
        stored = 0 if memory is None else memory.slots + memory.chunk
        return None if longest is None else max(longest, stored)

    @property
    def _longest(self) -> int | None:
        return min((each for each in (self.facts.window, self.facts.context) if each is not None), default=None)

    def _past(self, context: int) -> int:
        grown = SMALLEST_RING if context <= SMALLEST_RING else 1 << (context - 1).bit_length()
        return grown if self._longest is None else min(grown, self._longest)

    def _stored(self, context: int) -> int:
        memory = self.facts.memory
        if memory is None:
            return 0
        settled = context // memory.chunk * memory.chunk
        grown = memory.chunk if settled <= memory.chunk else 1 << (min(settled, memory.slots) - 1).bit_length()
        return min(grown, memory.slots)

    def _memory(self, stored: int) -> int:
        memory = self.facts.memory
        if memory is None:
            return 0
        entry = 2 * self.facts.hidden + 3  # key, value, score, position, order
        return 4 * self.batch * len(memory.layers) * ((stored + memory.chunk) * entry + 1)

    def _fits(self, context: int, device: Device, kept: Precision) -> bool:
        return self.need(context, kept).total <= device.usable_bytes

    def _too_long(self, need: Need, device: Device, kept: Precision, field: str) -> InvalidInput:
        largest = self.largest_context(device, kept)
        message = (
            f"a context of {need.context:,} tokens would take {need.total / GIB:.2f} GiB ({kept.name} weights), "
            f"and {device.title} has {device.usable_bytes / GIB:.2f} GiB for a model (estimate)"
        )
        way = (
            f"Take {largest:,} tokens or less."
            if largest
            else "Take a smaller model or fewer bits: no context fits."
        )
        return InvalidInput(message, reason="CONTEXT_BEYOND_MEMORY", field=field, next_step=way)
