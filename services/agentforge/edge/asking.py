"""What a file answers and how sure it is, asked by the runtime that goes into the package.

Shapes: B rows, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.edge.device.runtime.contract import load_graph
from agentforge.edge.device.runtime.generate import Engine
from agentforge.edge.device.runtime.onnx_backend import OnnxBackend
from agentforge.edge.device.runtime.state import State
from agentforge.train.evaluate import ROOM, alike

Feed = dict[str, NDArray[np.generic]]


def engine_of(file: Path, threads: int = 0) -> Engine:
    """`file` lies beside its graph.json."""
    return Engine(OnnxBackend(file, threads), load_graph(file.parent / "graph.json"))


def answers(engine: Engine, codec: Codec, items: Sequence[Item], *, batch: int) -> list[str]:
    """Greedy, as train.evaluate.answers has them: each item its own room, special tokens kept."""
    prompts = [codec.prompt_ids(item.prefix + item.prompt) for item in items]
    rooms = [len(codec.ids(item.completion)) + ROOM for item in items]
    said = [""] * len(items)
    for places in alike([len(prompt) for prompt in prompts], batch):
        found = greedy(engine, [prompts[place] for place in places], [rooms[place] for place in places], codec.eos)
        for place, ids in zip(places, found, strict=True):
            said[place] = codec.text(ids)
    return said


def greedy(engine: Engine, prompts: Sequence[list[int]], rooms: Sequence[int], eos: int | None) -> list[list[int]]:
    """New tokens of each row, up to and without the end."""
    state = State(engine.graph, len(prompts))
    found: list[list[int]] = [[] for _ in prompts]
    unread = [list(prompt) for prompt in prompts]
    while any(unread):
        token_B = engine.feed(state, unread).argmax(1)
        for row, read in enumerate(unread):
            token = int(token_B[row])
            goes_on = bool(read) and token != eos
            if goes_on:
                found[row].append(token)
            unread[row] = [token] if goes_on and len(found[row]) < rooms[row] else []
    return found


def answer_nats(engine: Engine, codec: Codec, items: Sequence[Item], *, batch: int) -> tuple[float, int]:
    """The summed loss of all tokens that the model is to say, and how many they are."""
    encoded = [codec.item_ids(item) for item in items]
    nats, count = 0.0, 0
    for places in alike([len(ids) for ids, _ in encoded], batch):
        some = [encoded[place] for place in places]
        first = [learned.index(True) for _, learned in some]  # what stands before is read at once
        state = State(engine.graph, len(some))
        logits_BV = engine.feed(state, [ids[:start] for (ids, _), start in zip(some, first, strict=True)])
        for step in range(max(len(ids) - start for (ids, _), start in zip(some, first, strict=True))):
            unread: list[list[int]] = []
            log_BV = _log_softmax(logits_BV)
            for row, ((ids, learned), start) in enumerate(zip(some, first, strict=True)):
                place = start + step
                if place < len(ids) and learned[place]:
                    nats, count = nats - float(log_BV[row, ids[place]]), count + 1
                unread.append(ids[place : place + 1])
            logits_BV = engine.feed(state, unread)
    return nats, count


def feeds(engine: Engine, codec: Codec, items: Sequence[Item], *, batch: int) -> Iterator[Feed]:
    """The inputs of every call that reads these items whole: their prompts, and then what is to be said."""
    encoded = [codec.item_ids(item) for item in items]
    for places in alike([len(ids) for ids, _ in encoded], batch):
        some = [encoded[place] for place in places]
        first = [learned.index(True) for _, learned in some]
        state = State(engine.graph, len(some))
        for part in (0, 1):
            rows = [ids[start:] if part else ids[:start] for (ids, _), start in zip(some, first, strict=True)]
            for ids_BT, position_BT in state.pieces(rows):
                given = {**state.inputs, "input_ids": ids_BT, "position": position_BT}
                yield {name: array.copy() for name, array in given.items()}
                state.write(position_BT, engine.backend.run(given))


def _log_softmax(logits_BV: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = logits_BV.astype(np.float64)
    wide -= wide.max(1, keepdims=True)
    found: NDArray[np.float64] = wide - np.log(np.exp(wide).sum(1, keepdims=True))
    return found
