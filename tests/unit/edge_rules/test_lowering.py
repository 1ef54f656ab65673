"""Lowering: the numbers stay, in onnxruntime, and the file passes the check; what cannot be is told by name."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from agentforge.edge.lowering import lower, notes
from agentforge.edge.rules import check_tensorrt
from agentforge.kit.errors import InvalidInput
from tests.unit.edge_rules.corpus import GOOD, Case, feed, run

X = "(float[b,4] x) => (float[b,c] y)"


def _ints(name: str, *values: int) -> str:
    return f"int64[{len(values)}] {name} = {{{','.join(map(str, values))}}}"


KEPT = (
    Case("mean", f"{X} <{_ints('a', -1)}> {{ y = ReduceMean<noop_with_empty_axes = 1>(x, a) }}"),
    Case("mean_of_all", "(float[b,4] x) => (float y) { y = ReduceMean<keepdims = 0>(x) }"),
    Case("no_mean", f"{X} {{ y = ReduceMean<noop_with_empty_axes = 1>(x) }}"),
    Case("no_sum", f"{X} <{_ints('a', 1)}, {_ints('s', 0)}, {_ints('e', 0)}> {{ z = Slice(a, s, e) "
         "y = ReduceSum<noop_with_empty_axes = 1>(x, z) }"),
    Case("sum", f"{X} <{_ints('a', 1)}> {{ y = ReduceSum(x, a) }}"),
    Case("norm", f"{X} {{ a = Constant<value_ints = [1]>() y = ReduceL2(x, a) }}"),
    Case("flags", "(float[b,4] x) => (int64[b] y) "
         f"<float z = {{0.0}}, {_ints('a', 1)}> {{ g = Greater(x, z) i = Cast<to = 7>(g) "
         "y = ReduceSum<keepdims = 0>(i, a) }"),
    Case("split_even", "(float[b,6] x) => (float[b,e] y, float[b,f] z) "
         "{ y, z = Split<axis = 1, num_outputs = 2>(x) }"),
    Case("split_uneven", "(float[b,7] x) => (float[b,e] y, float[b,f] z, float[b,g] w) "
         "{ y, z, w = Split<axis = -1, num_outputs = 3>(x) }"),
    Case("pad_axes", f"{X} <{_ints('p', 1, 2)}, float v = {{3.0}}, {_ints('a', -1)}> {{ y = Pad(x, p, v, a) }}"),
    Case("layer_norm", f"{X} <float[4] w = {{1.0,2.0,3.0,4.0}}, float[4] v = {{0.5,0.0,1.0,2.0}}> "
         "{ y = LayerNormalization<epsilon = 0.01>(x, w, v) }"),
    Case("layer_norm_2", "(float[b,3,4] x) => (float[b,3,4] y) "
         "<float[3,4] w = {1.0,2.0,3.0,4.0,1.0,2.0,3.0,4.0,1.0,2.0,3.0,4.0}> "
         "{ y = LayerNormalization<axis = 1>(x, w) }"),
    Case("rms_norm", f"{X} <float[4] w = {{1.0,2.0,3.0,4.0}}> {{ y = RMSNormalization(x, w) }}", opset=23, ir=10),
    Case("gelu", f"{X} {{ y = Gelu(x) }}", opset=20, ir=9),
    Case("gelu_tanh", f'{X} {{ y = Gelu<approximate = "tanh">(x) }}', opset=20, ir=9),
    Case("mish", f"{X} {{ y = Mish(x) }}"),
    Case("not", "(int32[b] x) => (int32[b] y) { y = BitwiseNot(x) }"),
    *(Case(f"cum_sum_{e}{r}", f"{X} <int64 a = {{-1}}> {{ y = CumSum<exclusive = {e}, reverse = {r}>(x, a) }}")
      for e in (0, 1) for r in (0, 1)),
    Case("cum_sum_one", "(float[b,1] x) => (float[b,1] y) <int64 a = {1}> { y = CumSum<exclusive = 1>(x, a) }"),
    Case("trilu_static", "(float[b,2,3,4] x) => (float[b,2,3,4] y) <int64 k = {1}> { y = Trilu<upper = 0>(x, k) }"),
    Case("trilu_dynamic", "(float[b,2,s,t] x) => (float[b,2,s,t] y) <int64 k = {-1}> { y = Trilu(x, k) }"),
    Case("trilu_bool", "(float[b,2,s,t] x) => (float[b,2,s,t] y) <float z = {0.0}> { g = Greater(x, z) "
         "m = Trilu<upper = 0>(g) y = Cast<to = 1>(m) }"),
    Case("shape_part", "(float[b,4,t] x) => (int64[n] y) { y = Shape<start = -2, end = 3>(x) }"),
    Case("int64_io", f"(int64[b] x) => (int64[b] y, float[b,2] z) <int64 k = {{3}}, {_ints('one', 1)}, "
         "float[6,2] w = {1.0,2.0,3.0,4.0,5.0,6.0,7.0,8.0,9.0,10.0,11.0,12.0}> { y = Mul(x, k) z = Gather(w, x) }"),
    Case("int64_shape_out", "(float[b,4] x, int64[2] s) => (int64[2] y, float[c,d] z) "
         "{ y = Shape(x) z = Reshape(x, s) }"),
    Case("doubles", "(double[b] x) => (double[b] y) <double k = {0.1}> { a = Add(x, k) y = Cast<to = 11>(a) }"),
    Case("mask", f"{X} <float z = {{0.0}}> {{ g = Greater(x, z) m = Where(g, x, low) y = Softmax(m) }}",
         change=lambda model: model.graph.initializer.append(
             onnx.numpy_helper.from_array(np.array(-np.inf, np.float32), "low"))),
    Case("no_bound", f"{X} <float h = {{0.5}}> {{ y = Clip(x, low, h) }}",
         change=lambda model: model.graph.initializer.append(
             onnx.numpy_helper.from_array(np.array(-np.inf, np.float32), "low"))),
    Case("integer_power", f"{X} <int64 k = {{2}}> {{ y = Pow(x, k) }}"),
    Case("axes_of_nodes", f"{X} <int64 k = {{1}}, {_ints('z', 0)}> {{ a = Unsqueeze(k, z) y = ReduceMax(x, a) }}"),
    Case("dead", f"{X} <float k = {{2.0}}> {{ d = IsNaN(x) y = Mul(x, k) u = Mul(x, y) }}"),
    Case("constant_out", "(float[b,4] x) => (int64[2] y) { y = Constant<value_ints = [1,2]>() }"),
    Case("input_out", "(int64[b] x) => (int64[b] x, int64[b] y) { y = Add(x, x) }"),
    Case("captured", """(bool f, int64[b] x) => (int64[m] y) <int64 k = {3}> { z = Mul(x, k) y = If(f)
        <then_branch = t () => (int64[b] p) { p = Add(z, k) },
        else_branch = e () => (int64[b] q) { q = Sub(x, z) }> }"""),
    Case("branch", """(bool f, float[2,2,2,2] x) => (float[m,n,o,p] y) { y = If(f) <then_branch = t () =>
        (float[2,2,2,2] p) { p = Trilu(x) }, else_branch = e () => (float[2,2,2,2] q) { q = Neg(x) }> }"""),
    Case("function", f"{X} {{ y = own.twice(x) }}", imports=', "own" : 1',
         change=lambda model: model.functions.append(onnx.parser.parse_function(
             '<domain: "own", opset_import: ["" : 18]> twice (x) => (y) { y = Add(x, x) }'))),
)  # fmt: skip

REFUSED = (
    ("axes", "(float[b,4] x, int64[1] a) => (float[b,c] y) { y = ReduceMean(x, a) }", "not a constant"),
    ("squares", f"{X} {{ y = ReduceSumSquare<noop_with_empty_axes = 1>(x) }}", "no axes"),
    ("split", "(float[b,t] x) => (float[b,e] y, float[b,f] z) { y, z = Split<axis = 1, num_outputs = 2>(x) }",
     "not fixed"),
    ("integers", f"(int32[b,4] x) => (int32[b,c] y) <{_ints('a', 1)}> {{ y = ReduceMax(x, a) }}", "float32"),
    ("long", "(float[b,64] x) => (float[b,64] y) <int64 a = {1}> { y = CumSum(x, a) }", "axis of 64"),
    ("is_inf", "(float[b] x) => (bool[b] y) { y = IsInf(x) }", "has not this operator"),
    ("bits", "(int32[b] x) => (int32[b] y) { y = BitwiseAnd(x, x) }", "has not this operator"),
    ("col", f"{X} {{ y = Hardmax(x) }}", "has not this operator"),
    ("wrap", f"{X} <{_ints('p', 0, 1, 0, 1)}> {{ y = Pad<mode = \"wrap\">(x, p) }}", "wrap"),
)  # fmt: skip


def _numbers(model: Any, inputs: dict[str, Any]) -> list[Any]:
    """With inputs of the types that the model has now."""
    narrow = {np.dtype(np.int64): np.int32, np.dtype(np.float64): np.float32}
    kinds = {each.name: each.type.tensor_type.elem_type for each in model.graph.input}
    asked = {
        name: array if kinds[name] in (7, 11) else array.astype(narrow.get(array.dtype, array.dtype))
        for name, array in inputs.items()
    }
    return run(model, asked)


@pytest.mark.parametrize("case", KEPT, ids=lambda case: case.name)
def test_the_numbers_stay_and_the_file_passes(case: Case) -> None:
    model = Case(case.name, case.text, opset=max(case.opset, 18), ir=case.ir, imports=case.imports,
                 change=case.change).model()  # fmt: skip
    before = model.SerializeToString()
    lowered = lower(model)
    assert model.SerializeToString() == before, "the given model is another's"
    assert check_tensorrt(lowered) == []
    for sizes in ({"s": 3, "t": 4}, {"b": 1, "s": 1, "t": 1}):
        inputs = feed(model, sizes)
        if case.name == "int64_shape_out":
            inputs["s"] = np.array([4, -1])
        for one, other in zip(_numbers(model, inputs), _numbers(lowered, inputs), strict=True):
            np.testing.assert_allclose(np.nan_to_num(one), other, rtol=2e-6, atol=2e-6)
            assert other.dtype not in (np.int64, np.float64)


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.name)
def test_what_is_good_stays_good(case: Case) -> None:
    once = lower(case.model())
    assert check_tensorrt(once) == []
    assert lower(once).SerializeToString() == once.SerializeToString()


@pytest.mark.parametrize(("name", "text", "said"), REFUSED, ids=[each[0] for each in REFUSED])
def test_what_nobody_can_lower_is_named(name: str, text: str, said: str) -> None:
    model = Case(name, text, opset=19 if name == "wrap" else 18, ir=9).model()
    model.graph.node[0].metadata_props.add(key="module", value="layers.2.memory")
    with pytest.raises(InvalidInput) as caught:
        lower(model)
    error = caught.value
    assert error.reason == "CANNOT_LOWER"
    assert error.field == "n0"
    assert all(part in error.message for part in (model.graph.node[0].op_type, "'n0'", "layers.2.memory", said))
    assert error.next_step.endswith(".")


def test_all_refusals_come_at_once() -> None:
    model = Case("two", f"{X} {{ a = Hardmax(x) y = Hardmax(a) }}", opset=18).model()
    with pytest.raises(InvalidInput) as caught:
        lower(model)
    assert [each.field for each in caught.value.violations] == ["n0", "n1"]


def test_infinities_that_mean_something_are_refused() -> None:
    case = Case("compared", "(float[b] x) => (bool[b] y) { y = Greater(x, low) }", opset=18)
    model = case.model()
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(-np.inf, np.float32), "low"))
    with pytest.raises(InvalidInput, match="Greater 'n0'"):
        lower(model)


def test_what_was_clamped_or_softened_is_told() -> None:
    text = f"{X} <{_ints('a', 0)}, {_ints('e', 2**63 - 1)}, {_ints('one', 1)}> {{ y = Slice(x, a, e, one) }}"
    assert notes(lower(Case("clamped", text, opset=18).model())) == [
        "constant 'e': 9223372036854775807 to 9223372036854775807 clamped to int32"
    ]
    assert "-10000" in notes(lower(next(case for case in KEPT if case.name == "mask").model()))[0]
    assert notes(lower(GOOD[0].model())) == []


def test_newer_opsets_and_weights_outside_are_refused() -> None:
    with pytest.raises(InvalidInput, match="opset 24"):
        lower(Case("new", f"{X} {{ y = Relu(x) }}", opset=24, ir=10).model())
    model = GOOD[0].model()
    model.graph.initializer.add(name="w", data_type=1, dims=[2], data_location=onnx.TensorProto.EXTERNAL)
    with pytest.raises(InvalidInput, match="outside"):
        lower(model)


@pytest.mark.slow
def test_a_module_of_torch(tmp_path: Path) -> None:
    """The exporter's own opset 18: RMSNorm, softmax, chunk, silu, mean, cumsum, a mask of -inf, an int64 sum."""
    import torch
    from torch import nn
    from torch.export import Dim

    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.scale = nn.RMSNorm(8), nn.LayerNorm(8)
            self.up, self.down = nn.Linear(8, 32, bias=False), nn.Linear(16, 8)
            self.embed = nn.Embedding(20, 8)

        def forward(self, ids: Any, position: Any) -> tuple[Any, ...]:
            h = self.norm(self.embed(ids.long()))
            gate, value = self.up(h).chunk(2, -1)
            y = self.down(nn.functional.silu(gate) * value)
            seen = (position[:, :, None] >= position[:, None, :]) & (position[:, None, :] >= 0)
            weights = torch.softmax(h @ h.transpose(1, 2) + torch.where(seen, 0.0, -torch.inf), -1)
            halt = torch.sigmoid(y[..., :3]).cumsum(-1)
            return self.scale(weights @ y), halt.mean(-1, keepdim=True), (ids > 2).sum(1)

    torch.manual_seed(0)
    module = Small().eval()
    example = (torch.randint(0, 20, (2, 5), dtype=torch.int32), torch.arange(5, dtype=torch.int32).repeat(2, 1))
    dims = {0: Dim("batch"), 1: Dim("time")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program: Any = torch.onnx.export(
            module, example, input_names=["ids", "position"], dynamo=True, opset_version=18, verbose=False,
            dynamic_shapes=(dims, dims),
        )  # fmt: skip
    assert {each.rule for each in check_tensorrt(program.model_proto)} >= {"opset", "opset-18-form", "cumsum"}
    lowered = lower(program.model_proto)
    onnx.save(lowered, str(tmp_path / "m.onnx"))
    assert check_tensorrt(tmp_path / "m.onnx") == []
    assert "norm" in {prop.value for node in lowered.graph.node for prop in node.metadata_props} or any(
        "'norm'" in prop.value for node in lowered.graph.node for prop in node.metadata_props
    )
    for batch, time in ((1, 1), (3, 7)):
        ids, position = torch.randint(0, 20, (batch, time)).int(), torch.arange(time).repeat(batch, 1).int()
        wanted = module(ids, position)
        found = run(lowered, {"ids": ids.numpy(), "position": position.numpy()})
        for one, other in zip(wanted, found, strict=True):
            np.testing.assert_allclose(one.detach().numpy(), other, atol=2e-6)
