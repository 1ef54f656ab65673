"""int8 pairs, the rules of TensorRT 8.5 for them, and what to leave float."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from agentforge.edge.quantise.products import products
from agentforge.edge.quantise.qdq import quantise_qdq, with_pairs
from agentforge.edge.quantise.qdq_rules import check_qdq, qdq_violations
from agentforge.edge.quantise.ranges import calibrate
from agentforge.edge.quantise.sensitivity import Layer, choose_keep, sensitivity
from agentforge.kit.errors import FailedPrecondition, InvalidInput
from tests.unit.edge_quantise.test_cpu import lost, run
from tests.unit.edge_quantise.toy import Toy

TOY = Toy(layers=1, opset=17)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("qdq") / "model.onnx"
    onnx.save(TOY.model(), path)
    return path


@pytest.fixture(scope="module")
def ranges(source: Path) -> dict[str, float]:
    return calibrate(source, [TOY.feed(number, time=2 + number % 3, past=number % 2) for number in range(8)])


@pytest.fixture(scope="module")
def good(source: Path, ranges: dict[str, float]) -> onnx.ModelProto:
    return with_pairs(onnx.load(source), ranges, per_channel=True)


@pytest.mark.parametrize("per_channel", [True, False])
def test_pairs_obey_the_rules(source: Path, ranges: dict[str, float], tmp_path: Path, per_channel: bool) -> None:
    target = tmp_path / "int8.onnx"
    quantise_qdq(source, target, ranges, per_channel=per_channel)
    assert check_qdq(target) == []
    model = onnx.load(target)
    pairs = sum(each.op_type == "QuantizeLinear" for each in model.graph.node)
    assert pairs == 2 * 15  # of inputs and weights: none is shared
    assert target.stat().st_size < 1.4 * source.stat().st_size  # but the weights of both passes are
    feed = TOY.feed(7, time=3, past=1)  # calibrated on
    assert lost(run(model, feed)[0], run(onnx.load(source), feed)[0]) < 0.1


def test_a_kept_unit_has_no_pairs(source: Path, ranges: dict[str, float]) -> None:
    made = with_pairs(onnx.load(source), ranges, per_channel=True, keep=["head"])
    head = next(each for each in made.graph.node if each.name == "head")
    makers = {output: each.op_type for each in made.graph.node for output in each.output}
    assert [makers.get(name) for name in head.input] == ["Gather", "Transpose"]


def test_a_product_without_a_range_is_refused(source: Path, ranges: dict[str, float]) -> None:
    name, *others = ranges
    with pytest.raises(FailedPrecondition, match=name):
        with_pairs(onnx.load(source), {each: ranges[each] for each in others}, per_channel=True)


def _node(model: onnx.ModelProto, kind: str, *, weight: bool) -> onnx.NodeProto:
    kept = {each.name for each in model.graph.initializer}
    quantisers = [each for each in model.graph.node if each.op_type == "QuantizeLinear"]
    chosen = next(each for each in quantisers if (each.input[0] in kept) == weight)
    if kind == "QuantizeLinear":
        return chosen
    return next(each for each in model.graph.node if chosen.output[0] in each.input)


def _constant(
    model: onnx.ModelProto, node: onnx.NodeProto, place: int, factor: float, *, both: bool = False
) -> None:
    old = next(each for each in model.graph.initializer if each.name == node.input[place])
    array = numpy_helper.to_array(old)
    changed = (array * factor if place == 1 else array + int(factor)).astype(array.dtype)
    if both:
        old.CopyFrom(numpy_helper.from_array(changed, old.name))
    else:
        model.graph.initializer.append(numpy_helper.from_array(changed, "changed"))
        node.input[place] = "changed"


def _bare_codes(model: onnx.ModelProto) -> None:
    codes = _node(model, "QuantizeLinear", weight=False).output[0]
    model.graph.node.append(helper.make_node("Cast", [codes], ["codes"], "spy", to=1))


def _without_q(model: onnx.ModelProto) -> None:
    _node(model, "DequantizeLinear", weight=False).input[0] = "input_ids"


def _axis(model: onnx.ModelProto) -> None:
    for kind in ("QuantizeLinear", "DequantizeLinear"):
        for each in _node(model, kind, weight=True).attribute:
            each.i = 0 if each.name == "axis" else each.i


def _channels_of_x(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.ones(40, np.float32), "many"))
    for kind in ("QuantizeLinear", "DequantizeLinear"):
        _node(model, kind, weight=False).input[1] = "many"


def _bias(model: onnx.ModelProto) -> None:
    output = _node(model, "DequantizeLinear", weight=True).output[0]
    model.graph.node.append(helper.make_node("Add", [output, output], ["sum"], "add"))


def _unsigned(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array(0, np.uint8), "unsigned"))
    _node(model, "QuantizeLinear", weight=False).input[2] = "unsigned"


def _dynamic(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("DynamicQuantizeLinear", ["embedded"], ["a", "b", "c"], "dynamic"))


def _newer(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 18


def _scale(factor: float) -> Callable[[onnx.ModelProto], None]:
    return lambda model: _constant(model, _node(model, "QuantizeLinear", weight=True), 1, factor, both=True)


def _zero(model: onnx.ModelProto) -> None:
    _constant(model, _node(model, "QuantizeLinear", weight=False), 2, 1, both=True)


def _unequal(model: onnx.ModelProto) -> None:
    _constant(model, _node(model, "DequantizeLinear", weight=False), 1, 2.0)


BROKEN: dict[str, tuple[str, Callable[[onnx.ModelProto], None]]] = {
    "codes read by others": ("Q_WITHOUT_DQ", _bare_codes),
    "no codes": ("DQ_WITHOUT_Q", _without_q),
    "negative": ("BAD_SCALE", _scale(-1.0)),
    "infinite": ("BAD_SCALE", _scale(np.inf)),
    "zero point": ("BAD_ZERO_POINT", _zero),
    "unsigned": ("BAD_ZERO_POINT", _unsigned),
    "unequal": ("UNEQUAL_PAIR", _unequal),
    "axis of inputs": ("BAD_AXIS", _axis),
    "channels of x": ("BAD_AXIS", _channels_of_x),
    "bias": ("NOT_A_PRODUCT", _bias),
    "dynamic": ("NOT_IN_TENSORRT_85", _dynamic),
    "opset": ("OPSET_TOO_NEW", _newer),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_breaks_a_rule_is_named(good: onnx.ModelProto, case: str) -> None:
    reason, breaks = BROKEN[case]
    model = onnx.ModelProto()
    model.CopyFrom(good)
    assert qdq_violations(model) == []
    breaks(model)
    assert reason in {each.reason for each in qdq_violations(model)}


def test_sensitivity_quantises_each_alone(source: Path, ranges: dict[str, float]) -> None:
    model, feed = onnx.load(source), TOY.feed(7)
    wanted = run(model, feed)[0]
    table = sensitivity(
        model,
        lambda plain, keep: with_pairs(plain, ranges, per_channel=True, keep=keep),
        lambda made: lost(run(made, feed)[0], wanted),
    )
    assert {each.unit for each in table} == {each.unit for each in products(model.graph)}
    assert all(each.rise > 0 for each in table)
    assert table == sorted(table, key=lambda each: -each.rise)


def test_the_costliest_are_kept_until_the_bound_holds() -> None:
    table = [Layer("a", 10, 0.5), Layer("b", 10, 0.25), Layer("c", 10, 0.125), Layer("d", 10, -0.5)]
    assert choose_keep(table, 0.375) == []
    assert choose_keep(table, 0.0) == ["a"]
    assert choose_keep(table[:3], 0.125) == ["a", "b"]
    assert choose_keep(table, -9.0) == ["a", "b", "c"]


def test_what_breaks_the_rules_is_not_written(source: Path, ranges: dict[str, float], tmp_path: Path) -> None:
    newer, target = tmp_path / "newer.onnx", tmp_path / "int8.onnx"
    model = onnx.load(source)
    _newer(model)
    onnx.save(model, newer)
    with pytest.raises(InvalidInput, match="opset 18"):
        quantise_qdq(newer, target, ranges, per_channel=False)
    assert not target.exists()
