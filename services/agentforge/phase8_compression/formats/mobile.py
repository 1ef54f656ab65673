"""What the two mobile formats share: one model as two functions of fixed sizes, prefill and decode, with state.

Rows 1. Prefill takes a piece of tokens, decode one; the past is as long as it can get. What is shorter is filled up
with entries of the position -1, which nothing sees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from agentforge.edge.device.runtime.contract import load_graph
from agentforge.edge.device.runtime.generate import Engine
from agentforge.edge.graph.export import edge_module, nested
from agentforge.edge.graph.facts import GraphFacts
from agentforge.kit.digests import canonical_json
from agentforge.models.ternary.linear import BitLinear
from agentforge.models.ternary.packed_linear import PackedLinear

if TYPE_CHECKING:
    from agentforge.data.codec import Codec

GRAPH, TOKENIZER = "graph.json", "tokenizer.json"
Arrays = dict[str, np.ndarray]
_SHORTEST = 16  # tokens of a prefill where no chunk of a memory says it


class Flat(nn.Module):
    """The edge module with its inputs and outputs in a row, as mobile runtimes have them."""

    def __init__(self, module: Any, facts: GraphFacts) -> None:
        super().__init__()
        self.module, self.facts = module, facts
        self.names = [name for name, *_ in facts.inputs()]

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        arguments = nested(self.facts, dict(zip(self.names, given, strict=True)))
        found: tuple[Tensor, ...] = self.module(*arguments.values())
        return found


def flat(model: Any, codec: Codec, context: int, directory: Path) -> Flat:
    """Writes graph.json and the tokenizer, too."""
    module = edge_module(model)
    most = min(each for each in (context, module.facts.context) if each is not None)
    piece = min(_SHORTEST, module.facts.memory.chunk) if module.facts.memory else _SHORTEST
    lead = codec.lead[0] if codec.lead else None
    facts = replace(module.facts, bos=lead, eos=codec.eos, context=most, piece=piece)
    (directory / GRAPH).write_bytes(canonical_json(facts.record))
    codec.tokenizer.backend_tokenizer.save(str(directory / TOKENIZER))
    return Flat(module, facts).eval()


def lossless(model: Any) -> bool:
    """Mobile runtimes are off by 1e-6, and a ternary layer's input that rounds otherwise moves all behind it."""
    return not any(isinstance(each, BitLinear | PackedLinear) for each in model.modules())


def sizes(facts: Any, time: int) -> dict[str, int]:
    reach = min(each for each in (facts.window, facts.context) if each is not None)
    return {"batch": 1, "time": time, "past": reach, "stored": facts.memory.slots if facts.memory else 1}


def example(facts: GraphFacts, time: int) -> tuple[Tensor, ...]:
    """Of empty state."""
    return tuple(torch.from_numpy(each) for each in filled(facts, {}, time).values())


def filled(facts: GraphFacts, given: Mapping[str, np.ndarray], time: int) -> Arrays:
    """New tokens stand right and what is stored left; the rest is padding."""
    known, found = sizes(facts, time), {}
    for name, kind, shape in facts.inputs():
        whole = np.zeros([known[each] if isinstance(each, str) else each for each in shape], kind)
        if name.endswith("position"):
            whole -= 1
        if name in given:
            own = given[name]
            right = "time" in shape
            cut = [
                slice(size - used, None) if right else slice(used)
                for size, used in zip(whole.shape, own.shape, strict=True)
            ]
            whole[tuple(cut)] = own
        found[name] = whole
    return found


class FixedBackend:
    """`methods`: prefill and decode, each from all inputs to all outputs in the order of the facts."""

    def __init__(self, name: str, file: str, facts: GraphFacts, methods: Mapping[str, Any]) -> None:
        self.name, self.file, self.version = name, file, ""
        self._facts, self._methods = facts, methods

    def run(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        new = inputs["input_ids"].shape[1]
        method, time = ("decode", 1) if new == 1 else ("prefill", self._facts.piece)
        made: Sequence[np.ndarray] = self._methods[method](filled(self._facts, inputs, time))
        found = {}
        for (name, _, shape), array in zip(self._facts.outputs(), made, strict=True):
            axis = shape.index("time") if "time" in shape else None
            found[name] = array if axis is None else np.take(array, range(time - new, time), axis)
        return found


def engine(directory: Path, file: str, facts: GraphFacts, methods: Mapping[str, Any]) -> Engine:
    return Engine(FixedBackend(file, file, facts, methods), load_graph(directory / GRAPH))
