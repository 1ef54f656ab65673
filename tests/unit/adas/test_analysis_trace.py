from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from agentforge.kit.errors import InvalidInput
from agentforge.phase7_adas.analysis.trace import UNNAMED, Trace, group_of, trace
from tests.unit.adas.analysis_toys import DIMS, HEAD, HEADS, HIDDEN, VOCABULARY, model, node, window

FLOAT, INT8, UINT8 = TensorProto.FLOAT, TensorProto.INT8, TensorProto.UINT8
X = {"x": (FLOAT, ["batch", 8])}
Y = {"y": (FLOAT, ["batch", None])}


@pytest.fixture(scope="module")
def traced() -> Trace:
    return trace(window(), DIMS)


def test_products_and_parameters_are_torchs_own() -> None:
    net = nn.Sequential(nn.Linear(8, 24, bias=False), nn.Linear(24, 8, bias=True), nn.Linear(8, 5, bias=False))
    weights: dict[str, Any] = {name: array.detach().numpy() for name, array in net.named_parameters()}
    for name in ("0.weight", "2.weight"):
        weights[name] = weights[name].T.copy()
    nodes = [
        node("MatMul", ["x", "0.weight"], "a", "0"),
        node("Gemm", ["a", "1.weight", "1.bias"], "b", "1", transB=1),
        node("MatMul", ["b", "2.weight"], "y", "2"),
    ]
    found = trace(model(nodes, X, Y, weights), {"batch": 7})
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.ones(7, 8))
    bias = 7 * 8  # which torch's counter leaves out
    assert found.total.flops == counter.get_total_flops() + bias
    assert found.parameters == sum(each.numel() for each in net.parameters())
    assert found.parameters_by_module == {"0": 192, "1": 200, "2": 40}
    assert found.weight_bytes_once == found.total.weight_bytes == 4 * found.parameters


def test_modules_and_kinds_add_up_to_the_whole(traced: Trace) -> None:
    assert not traced.not_counted
    for parts in (traced.by_module(), traced.by_kind()):
        assert sum(each.flops for each in parts.values()) == traced.total.flops
        assert sum(each.nodes for each in parts.values()) == traced.total.nodes
    assert set(traced.by_module()) == {
        "embed", "layers.0", "layers.0.attention.query", "layers.0.attention.key", "layers.0.attention.value",
        "layers.0.attention.o", "lm_head",
    }  # fmt: skip


def test_costs_of_a_step_by_hand(traced: Trace) -> None:
    rows, modules = 2 * 3, traced.by_module()
    product = 2 * rows * HIDDEN * HIDDEN
    assert modules["layers.0.attention.key"].flops == product
    assert modules["lm_head"].flops == 2 * rows * HIDDEN * VOCABULARY
    dots = 2 * HEADS * 3 * (5 + 3)
    assert modules["layers.0"].flops == 2 * (2 * dots * HEAD) + 5 * dots
    assert traced.by_kind()["mixing"].flops == 2 * (2 * dots * HEAD)
    assert traced.by_kind()["mixing"].matmul_weights == 0


def test_weights_count_at_each_use_and_once(traced: Trace) -> None:
    square, table, rows = 4 * HIDDEN * HIDDEN, 4 * VOCABULARY * HIDDEN, 4 * 2 * 3 * HIDDEN
    constants = 8 * 4  # of the shapes
    assert traced.by_module()["layers.0.attention.o"].weight_bytes == 2 * square
    assert traced.by_module()["embed"].weight_bytes == rows  # the rows it looks up, not the table
    assert traced.total.weight_bytes == 5 * square + table + rows + constants
    assert traced.weight_bytes_once == 4 * square + table + rows + constants
    assert traced.at_load == 1  # the tied table, transposed


def test_state_is_what_comes_in_and_what_is_kept(traced: Trace) -> None:
    entry = 4 * 2 * HEADS * HEAD
    assert traced.total.state_bytes == 2 * entry * 5 + 2 * entry * 3
    assert trace(window(), {**DIMS, "past": 0}).total.state_bytes == 2 * entry * 3


def test_decode_costs_less_than_prefill_and_reads_the_same_weights() -> None:
    decode, prefill = trace(window(), {**DIMS, "time": 1}).total, trace(window(), {**DIMS, "time": 4}).total
    assert prefill.matmul_flops > 4 * decode.matmul_flops  # attention grows with its square
    assert prefill.matmul_weight_bytes == decode.matmul_weight_bytes


def test_an_operator_without_a_rule_is_named_and_not_counted() -> None:
    nodes = [node("MatMul", ["x", "w"], "a", "one"), node("Det", ["square"], "d", "two"),
             node("Mystery", ["a"], "b", "three", domain="ours"), node("Neg", ["b"], "y", "four")]  # fmt: skip
    inputs = {**X, "square": (FLOAT, [3, 3])}
    found = trace(model(nodes, inputs, Y, {"w": np.ones((8, 4), np.float32)}), {"batch": 2})
    assert [(each.op, each.module) for each in found.not_counted] == [
        ("Det", "two"), ("Mystery", "three"), ("Neg", "four"),
    ]  # fmt: skip
    assert found.not_counted[0].why == "no rule for Det"
    assert found.not_counted[2].why == "its shapes could not be found out"
    assert found.total.flops == 2 * 2 * 8 * 4


def test_a_node_without_a_module_is_still_counted() -> None:
    bare = node("Neg", ["x"], "y", "")
    assert set(trace(model([bare], X, Y, {}), {"batch": 2}).by_module()) == {UNNAMED}


def test_a_dimension_without_a_number_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'past'") as refused:
        trace(window(), {"batch": 1, "time": 1})
    assert refused.value.reason == "UNBOUND_DIMENSION"


@pytest.mark.parametrize(
    ("made", "what"),
    [(node("MatMul", ["x", "w"], "y", "m"), "cannot work on x (2, 8), w (5, 4)"),
     (node("Neg", ["q"], "y", "m"), "reads 'q', which nothing before it makes")],
)  # fmt: skip
def test_a_broken_graph_names_its_node(made: Any, what: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        trace(model([made], X, Y, {"w": np.ones((5, 4), np.float32)}), {"batch": 2})
    assert what in refused.value.message
    assert (refused.value.reason, refused.value.field) == ("GRAPH_BROKEN", f"{made.op_type}:y")


def test_the_domain_has_two_names() -> None:
    made = model([node("Neg", ["x"], "y", "m", domain="ai.onnx")], X, Y, {})
    assert trace(made, {"batch": 2}).total.flops == 16


def test_weights_of_4_bits_are_read_packed() -> None:
    packed = {"w": np.zeros((16, 2, 16), np.uint8), "s": np.zeros((16, 2), np.float32)}
    nodes = [
        node("MatMulNBits", ["x", "w", "s"], "y", "head", domain="com.microsoft", K=64, N=16, bits=4, block_size=32)
    ]
    found = trace(model(nodes, {"x": (FLOAT, ["batch", 64])}, Y, packed), {"batch": 3})
    assert found.total.flops == 2 * 3 * 64 * 16
    assert found.total.weight_bytes == 64 * 16 // 2 + 4 * 32
    assert found.total.matmul_weights == found.parameters == 64 * 16


def test_int8_weights_stay_int8_behind_their_dequantiser() -> None:
    weights = {"q": np.ones((8, 4), np.int8), "s": np.float32(0.1), "z": np.int8(0)}
    nodes = [node("DequantizeLinear", ["q", "s", "z"], "w", "one"), node("MatMul", ["x", "w"], "y", "one")]
    found = trace(model(nodes, X, Y, weights), {"batch": 2})
    assert (found.total.weight_bytes, found.at_load, found.parameters) == (32, 1, 32)
    assert found.stored_at(4) == found.weight_bytes_stored - 16


def _chain() -> Iterator[Any]:
    yield node("Neg", ["x"], "a", "m")  # 2 x 8 floats: 64 bytes
    yield node("Concat", ["a", "a"], "b", "m", axis=1)  # 128 more, and a dies
    yield node("Reshape", ["b", "shape"], "c", "m")  # the same bytes
    yield node("Neg", ["c"], "y", "m")  # 128 more while c is still read


def test_the_peak_of_what_is_alive() -> None:
    made = model(list(_chain()), X, Y, {"shape": np.array([-1, 16])})
    assert trace(made, {"batch": 2}).peak_activation_bytes == 256


@pytest.mark.slow
def test_an_exported_titans_products_are_torchs_own() -> None:
    from agentforge.edge.graph.export import edge_module, example, export
    from agentforge.models import TitanConfig, TitanForCausalLM

    torch.manual_seed(0)
    titan = TitanForCausalLM(TitanConfig.preset("tiny"))
    found = trace(export(titan).model, {"batch": 2, "time": 3, "past": 5, "stored": 7})
    module: Any = edge_module(titan)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(**example(module.facts, 2, 3, 5, 7))
    assert found.not_counted == []
    assert found.total.matmul_flops == counter.get_total_flops()


@pytest.mark.parametrize(
    ("module", "group"),
    [("layers.3.attention.qkv", "layers.3.attention"), ("layers.3", "layers.3"), ("lm_head", "lm_head"),
     ("model.layers.0.mlp.up", "model.layers.0.mlp"), ("strength.learned.0", "strength.learned.0")],
)  # fmt: skip
def test_groups(module: str, group: str) -> None:
    assert group_of(module) == group
