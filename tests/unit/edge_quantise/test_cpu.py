"""Graphs of 8 and 4 bits for onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from agentforge.edge.quantise.codes import ZERO, eight_bits, four_bits
from agentforge.edge.quantise.cpu import quantise_cpu
from agentforge.edge.quantise.surgery import Surgery
from agentforge.kit.errors import FailedPrecondition, InvalidInput
from agentforge.kit.rng import Rng
from tests.unit.edge_quantise.toy import Toy

GAUSS = Rng(0, "gauss").numpy().standard_normal((64, 72)).astype(np.float32)


Small = dict[int, onnx.ModelProto]


def run(model: onnx.ModelProto, feed: dict[str, Any], outputs: list[str] | None = None) -> list[Any]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(outputs, feed))


def lost(found: Any, wanted: Any) -> float:
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def constants(model: onnx.ModelProto) -> dict[str, Any]:
    return {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}


def told(pair_NBK: Any, scale_NB: Any) -> Any:
    """The weights that codes of 4 bits stand for, with what K was padded by."""
    value = np.stack([pair_NBK & 15, pair_NBK >> 4], -1).reshape(*pair_NBK.shape[:2], -1).astype(np.float32) - ZERO
    return (value * scale_NB[..., None].astype(np.float32)).reshape(len(pair_NBK), -1)


@pytest.fixture(scope="module")
def toy() -> Toy:
    return Toy()


@pytest.fixture(scope="module")
def whole(toy: Toy) -> onnx.ModelProto:
    return toy.model()


@pytest.fixture(scope="module")
def small(whole: onnx.ModelProto) -> dict[int, onnx.ModelProto]:
    return {8: quantise_cpu(whole, 8), 4: quantise_cpu(whole, 4)}


def test_codes_of_ternary_weights_are_exact() -> None:
    weight = (np.sign(GAUSS) * (np.abs(GAUSS) > 0.5) * np.float32(0.37)).astype(np.float32)
    assert np.array_equal(told(*four_bits(weight, 32))[:, :72], weight)
    codes, scales = eight_bits(weight)
    np.testing.assert_allclose((codes.T.astype(np.float32) - 128) * scales[:, None], weight, rtol=1e-6)


def test_four_bits_lose_less_than_the_largest_over_seven() -> None:
    blocks = np.pad(GAUSS, ((0, 0), (0, 24))).reshape(64, 3, 32)
    scale = np.abs(blocks).max(-1, keepdims=True) / 7
    assert lost(told(*four_bits(GAUSS, 32))[:, :72], GAUSS) < 0.9 * lost(np.round(blocks / scale) * scale, blocks)


def test_a_weight_of_zeros() -> None:
    assert not told(*four_bits(np.zeros((40, 40), np.float32), 32)).any()
    assert np.isfinite(eight_bits(np.zeros((40, 40), np.float32))[1]).all()


@pytest.mark.parametrize(("bits", "bound"), [(8, 0.05), (4, 0.4)])
@pytest.mark.parametrize(("time", "past"), [(1, 0), (5, 4)])
def test_it_answers_nearly_the_same(
    toy: Toy,
    whole: onnx.ModelProto,
    small: Small,
    bits: int,
    bound: float,
    time: int,
    past: int,
) -> None:
    onnx.checker.check_model(small[bits])
    feed = toy.feed(1, time=time, past=past)
    wanted, found = run(whole, feed), run(small[bits], feed)
    assert [each.shape for each in found] == [each.shape for each in wanted]
    assert lost(found[0], wanted[0]) < bound


@pytest.mark.parametrize("bits", [8, 4])
def test_every_weight_is_stored_once(toy: Toy, small: Small, bits: int) -> None:
    names = [name for name in constants(small[bits]) if name.endswith(".codes")]
    assert len(names) == 7 * toy.layers + 1  # two passes, and the table is the head
    assert max(each.size for each in constants(small[bits]).values() if each.dtype == np.float32) < 1000
    plain = sum(each.size for name, each in toy.kept.items() if each.ndim == 2)
    codes = sum(constants(small[bits])[name].nbytes for name in names)
    assert codes == plain if bits == 8 else codes < 0.9 * plain  # K of 40 is padded to 64


@pytest.mark.parametrize("bits", [8, 4])
def test_the_table_is_read_from_the_heads_codes(toy: Toy, small: Small, bits: int) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(small[bits])
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info("embedded"))
    feed, kept = toy.feed(2), constants(small[bits])
    codes = kept["head.codes"]
    scales = kept[next(name for name in kept if name.startswith("head.scales"))]
    table = told(codes, scales) if bits == 4 else (codes.T.astype(np.float32) - 128) * scales[:, None]
    np.testing.assert_array_equal(run(model, feed, ["embedded"])[0], table[feed["input_ids"], : toy.hidden])


def test_units_can_be_kept(toy: Toy, whole: onnx.ModelProto) -> None:
    made = quantise_cpu(whole, 4, keep=["p1.down", "n.embedded"])
    kinds = {each.name: each.op_type for each in made.graph.node}
    assert (kinds["p1.down"], kinds["p0.down"], kinds["n.embedded"]) == ("MatMul", "MatMulNBits", "Gather")
    with pytest.raises(InvalidInput, match=r"p9\.down"):
        quantise_cpu(whole, 8, keep=["p9.down"])


def test_an_older_opset_is_refused() -> None:
    with pytest.raises(FailedPrecondition, match="opset 17"):
        quantise_cpu(Toy(opset=17, layers=1, passes=1).model(), 4)


def test_half_precision_only_where_it_loses_little() -> None:
    graph = Surgery(Toy(layers=1, passes=1).model())
    for name, factor in (("good", 1.0), ("large", 1e6), ("tiny", 1e-7)):
        graph.constant(name, GAUSS * np.float32(factor))
    graph.halve(4 * GAUSS.size)
    halved = {name for name, each in constants(graph.model).items() if each.dtype == np.float16}
    assert {name for name in halved if not name.startswith(("l0", "table"))} == {"good.half"}


def test_gemm_with_a_bias() -> None:
    bias = np.arange(64, dtype=np.float32)
    kept = [numpy_helper.from_array(GAUSS, "w"), numpy_helper.from_array(bias, "b")]
    info = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("Gemm", ["x", "w", "b"], ["y"], "gemm", transB=1)
    graph = onnx.helper.make_graph([node], "g", [info("x", 1, ["n", 72])], [info("y", 1, ["n", 64])], kept)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    x = np.ones((3, 72), np.float32)
    for bits, bound in ((8, 0.02), (4, 0.1)):
        made = quantise_cpu(model, bits)  # type: ignore[arg-type]
        assert lost(run(made, {"x": x})[0], x @ GAUSS.T + bias) < bound
