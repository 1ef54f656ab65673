"""Fused for onnxruntime, a graph gives the same numbers, and its products are still found by their modules."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnxruntime
import pytest

from agentforge.edge.graph.export import Exported, export
from agentforge.edge.graph.fusing import fuse
from agentforge.edge.quantise.products import products
from tests import pico

MEMORY: dict[str, Any] = {
    "num_hidden_layers": 2, "memory": True, "memory_layers": [1], "memory_slots": 24, "memory_chunk": 8,
    "memory_init_slots": 3, "persistent_tokens": 3, "sliding_window": 16, "recursion": True,
}  # fmt: skip
MODELS: dict[str, Any] = {"titan": lambda: pico.titan(**MEMORY), "llama": lambda: pico.llama(num_key_value_heads=1)}
SIZES = ((1, 1, 0, 1), (1, 1, 9, 5), (2, 3, 9, 5))  # batch, time, past, stored


@pytest.fixture(scope="module", params=MODELS)
def made(request: pytest.FixtureRequest) -> tuple[Exported, Any]:
    exported = export(pico.with_noise(MODELS[request.param](), 1).eval())
    return exported, fuse(exported.model)


@pytest.mark.parametrize("sizes", SIZES)
def test_every_output_stays(made: tuple[Exported, Any], sizes: tuple[int, ...]) -> None:
    exported, fused = made
    given = inputs(exported, *sizes)
    for before, after in zip(answers(exported.model, given), answers(fused, given), strict=True):
        assert before.shape == after.shape
        assert np.abs(before - after).max(initial=0) <= 3e-6 * np.abs(before).max(initial=1)


def test_each_rule_found_every_layer(made: tuple[Exported, Any]) -> None:
    exported, fused = made
    windows = exported.facts.windows
    counts = Counter(each.op_type for each in fused.graph.node)
    assert counts["RotaryEmbedding"] == 2 * windows  # queries and keys
    assert counts["SkipSimplifiedLayerNormalization"] >= 2 * windows
    assert len(fused.graph.node) < 0.85 * len(exported.model.graph.node)
    users = Counter(name for each in fused.graph.node for name in each.input)
    scores = [each for each in fused.graph.node if each.op_type == "Softmax"]
    assert all(users[each.output[0]] == 1 for each in scores)  # one split, or one product


def test_products_keep_their_modules_and_weights(made: tuple[Exported, Any]) -> None:
    exported, fused = made
    before, after = (list(products(each.graph)) for each in (exported.model, fused))
    assert Counter(each.unit for each in before) == Counter(each.unit for each in after)
    weights = {each.unit: each.w_NK for each in before}
    assert before
    assert all(np.array_equal(each.w_NK, weights[each.unit]) for each in after)


def test_what_was_given_stays_as_it_was(made: tuple[Exported, Any]) -> None:
    exported, fused = made
    before = exported.model.SerializeToString()
    assert fuse(exported.model).SerializeToString() == fused.SerializeToString()
    assert exported.model.SerializeToString() == before
    assert {each.domain for each in exported.model.graph.node} == {""}


def inputs(exported: Exported, batch: int, time: int, past: int, stored: int) -> dict[str, Any]:
    """Left of the second row's tokens stands padding; its past has gaps."""
    dice = np.random.default_rng(0)
    sizes = {"batch": batch, "time": time, "past": past, "stored": stored}
    found: dict[str, Any] = {}
    for name, kind, shape in exported.facts.inputs():
        size = [sizes[each] if isinstance(each, str) else each for each in shape]
        found[name] = np.zeros(size, np.int32) if kind == "int32" else dice.standard_normal(size, np.float32)
        if name.endswith("momentum"):  # else a surprise would be negative
            found[name] = np.abs(found[name])
        if name.endswith("position"):
            found[name] += np.arange(size[1], dtype=np.int32) + (past if name == "position" else 0)
            found[name][1:, : size[1] // 3] = -1
    found["input_ids"] += dice.integers(0, exported.facts.vocabulary, (batch, time), np.int32)
    return found


def answers(model: Any, given: dict[str, Any]) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    names = {each.name for each in session.get_inputs()}
    found: list[Any] = session.run(None, {name: value for name, value in given.items() if name in names})
    return found
