"""Exported files compute what the model does: from no token seen on, one by one or together, past full memories."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from agentforge.edge.asking import engine_of
from agentforge.edge.device.runtime.state import State
from agentforge.edge.graph.export import export
from agentforge.edge.graph.flavours import for_onnxruntime
from agentforge.edge.lowering import lower
from agentforge.edge.rules import check_tensorrt
from tests import pico

MEMORY = {
    "num_hidden_layers": 2, "memory": True, "memory_layers": [1], "memory_slots": 24, "memory_chunk": 8,
    "memory_init_slots": 3, "persistent_tokens": 3, "sliding_window": 16,
}  # fmt: skip
MODELS: dict[str, Any] = {
    "plain": lambda: pico.titan(),
    "memory": lambda: pico.titan(**MEMORY, recursion=True),
    "first in, first out": lambda: pico.titan(**MEMORY, memory_write="fifo", memory_momentum=False),
    "no halting, sees everything": lambda: pico.titan(act=False, sliding_window=None, recursion=True),
    "llama": lambda: pico.llama(num_key_value_heads=1),
}
SHAPES = ((1, 0), (2, 0), (1, 1), (8, 0), (1, 16), (5, 29), (3, 58))  # new tokens, tokens seen
BOUND = 1e-5


@pytest.fixture(scope="module", params=MODELS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    model = pico.with_noise(MODELS[request.param](), 1).eval()
    place = tmp_path_factory.mktemp("exported")
    exported = export(model)
    (place / "graph.json").write_text(json.dumps(exported.facts.record))
    onnx.save(for_onnxruntime(exported.model), place / "cpu.onnx")
    onnx.save(lower(exported.model), place / "tensorrt.onnx")
    return model, place


@pytest.mark.parametrize("file", ["cpu.onnx", "tensorrt.onnx"])
def test_any_cut_gives_the_models_logits(made: tuple[Any, Path], file: str) -> None:
    model, place = made
    engine = engine_of(place / file, 1)
    dice = np.random.default_rng(0)
    for new, seen in SHAPES:
        ids = dice.integers(0, engine.graph.vocabulary, seen + new).tolist()
        state = State(engine.graph)
        for start in range(0, seen, 7):
            engine.feed(state, [ids[start : min(start + 7, seen)]])
        found = engine.feed(state, [ids[seen:]])[0]
        assert away(model, ids, found) < BOUND, (new, seen)


def test_rows_of_different_lengths_do_not_touch_each_other(made: tuple[Any, Path]) -> None:
    model, place = made
    engine = engine_of(place / "cpu.onnx", 1)
    dice = np.random.default_rng(1)
    rows = [dice.integers(0, engine.graph.vocabulary, length).tolist() for length in (3, 17, 1)]
    found = engine.feed(State(engine.graph, 3), rows)
    assert max(away(model, row, logits) for row, logits in zip(rows, found, strict=True)) < BOUND


def test_nothing_in_it_is_beyond_the_table_of_tensorrt(made: tuple[Any, Path]) -> None:
    assert check_tensorrt(made[1] / "tensorrt.onnx") == []


def test_nodes_are_named_by_their_modules_and_nothing_tells_of_this_machine(made: tuple[Any, Path]) -> None:
    graph = onnx.load(made[1] / "cpu.onnx").graph
    modules = {each.value for node in graph.node for each in node.metadata_props}
    assert any(name.endswith(("layers.0.mlp.up", "layers.0.mlp.up_proj")) for name in modules)
    assert b"/site-packages" not in (made[1] / "cpu.onnx").read_bytes()


def away(model: Any, ids: list[int], logits: Any) -> float:
    with torch.no_grad():
        theirs = model(torch.tensor([ids])).logits[0, -1].numpy()
    return float(np.abs(logits - theirs).max() / np.abs(theirs).max())
