"""Tiny ONNX files, good and bad, each with the rules that it must break: made here, of ONNX's own text form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper, parser


@dataclass(frozen=True)
class Case:
    name: str
    text: str  # signature and body
    rules: tuple[str, ...] = ()
    node: str = ""  # the node that the first rule names; nodes are n0, n1, … in order
    opset: int = 17
    ir: int = 8
    imports: str = ""
    change: Callable[[Any], None] | None = None

    def model(self) -> Any:
        head = f'<ir_version: {self.ir}, opset_import: ["" : {self.opset}{self.imports}]>'
        found = parser.parse_model(f"{head}\n{self.name} {self.text}")
        _named(found.graph, iter(range(100)))
        if self.change is not None:
            self.change(found)
        return found


def _named(graph: Any, numbers: Any) -> None:
    for node in graph.node:
        node.name = f"n{next(numbers)}"
        for each in node.attribute:
            if each.HasField("g"):
                _named(each.g, numbers)


def _renamed(index: int, name: str) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        model.graph.node[index].name = name

    return change


def _weights(name: str, array: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        model.graph.initializer.append(numpy_helper.from_array(array, name))

    return change


def _outside(dims: tuple[int, ...]) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=dims)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights.bin")
        model.graph.initializer.append(tensor)

    return change


def _function(model: Any) -> None:
    inner = parser.parse_function('<domain: "own", opset_import: ["" : 17]> twice (x) => (y) { y = Add(x, x) }')
    model.functions.append(inner)


def _optional(model: Any) -> None:
    kind = helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [2]))
    model.graph.input.append(helper.make_value_info("maybe", kind))


X = "(float[batch,4] x) => (float[batch,4] y)"
_IF = "(bool flag, float[2] x) => (float[m] y) { y = If(flag)"
_SCAN = "(float[3,2] x) => (float[2] s, float[a,b] y) <float[2] zero = {0.0,0.0}>"
_QDQ = "<float scale = {0.5}, int8 zero = {0}>"
_STEP = "body = step (float[2] a, float[2] b) => (float[2] c, float[2] d) { c = Add(a, b) d = Identity(c) }"

GOOD = (
    Case("relu", f"{X} {{ y = Relu(x) }}"),
    Case("rms_norm", f"""{X} <float eps = {{1e-6}}> {{ s = Mul(x, x) m = ReduceMean<axes = [-1]>(s) k = Add(m, eps)
        r = Sqrt(k) i = Reciprocal(r) y = Mul(x, i) }}"""),
    Case("reduce_sum_axes", "(float[b,4] x) => (float[b,1] y) <int64[1] axes = {1}> { y = ReduceSum(x, axes) }"),
    Case("mask", f"{X} <float low = {{-1e4}}, float zero = {{0.0}}> "
         "{ g = Greater(x, zero) y = Where(g, x, low) }"),
    Case("trilu_2", "(float[a,b] x) => (float[a,b] y) { y = Trilu<upper = 0>(x) }"),
    Case("trilu_3", "(float[2,a,b] x) => (float[2,a,b] y) { y = Trilu(x) }"),
    Case("top_k", "(float[b,8] x) => (float[b,3] v, int32[b,3] y) <int64[1] k = {3}> "
         "{ v, i = TopK(x, k) y = Cast<to = 6>(i) }"),
    Case("split_sizes", "(float[b,6] x) => (float[b,2] y, float[b,4] z) <int64[2] s = {2,4}> "
         "{ y, z = Split<axis = 1>(x, s) }"),
    Case("qdq", f"{X} {_QDQ} {{ q = QuantizeLinear(x, scale, zero) y = DequantizeLinear(q, scale, zero) }}"),
    Case("qdq_weights", """(float[b,2] x) => (float[b,2] y) <float[2] s = {0.5,0.25}, int8[2] z = {0,0},
        int8[2,2] w = {1,2,3,4}> { d = DequantizeLinear<axis = 1>(w, s, z) y = MatMul(x, d) }"""),
    Case("branches", _IF + """ <then_branch = t () => (float[2] p) { p = Relu(x) },
        else_branch = e () => (float[2] q) { q = Neg(x) }> }"""),
    Case("loop", """(float[2] x) => (float[2] y) <int64 trips = {3}, bool go = {1}> { y = Loop(trips, go, x) <body =
        step (int64 i, bool c, float[2] s) => (bool d, float[2] t) { d = Identity(c) t = Add(s, s) }> }"""),
    Case("scan", f"{_SCAN} {{ s, y = Scan<num_scan_inputs = 1, {_STEP}>(zero, x) }}"),
    Case("one_hot", "(int32[b] x) => (float[b,4] y) <int64 d = {4}, float[2] v = {0.0,1.0}> "
         "{ i = Cast<to = 7>(x) y = OneHot(i, d, v) }"),
    Case("mod_int", "(int32[b] x) => (int32[b] y) <int32 k = {3}> { y = Mod(x, k) }"),
    Case("mod_float", f"{X} <float k = {{3.0}}> {{ y = Mod<fmod = 1>(x, k) }}"),
    Case("einsum", '(float[a,b] x, float[b,c] z) => (float[a,c] y) { y = Einsum<equation = "ij,jk->ik">(x, z) }'),
    Case("uint8_in", "(uint8[b,4] x) => (float[b,4] y) { y = Cast<to = 1>(x) }"),
    Case("embedding", "(int32[b,t] ids) => (float[b,t,2] y) { y = Gather(w, ids) }",
         change=_weights("w", np.arange(12, dtype=np.float32).reshape(6, 2))),
    Case("pad", "(float[b,4] x) => (float[b,6] y) <int64[4] p = {0,1,0,1}> { y = Pad(x, p) }"),
    Case("whole_shape", "(float[b,4] x) => (float[b,4] y) <int64[1] a = {0}, int64[1] e = {1}, int64[1] f = {4}> "
         "{ s = Shape(x) b = Slice(s, a, e) t = Concat<axis = 0>(b, f) y = Reshape(x, t) }"),
    Case("clip_int", "(int32[b] x) => (int32[b] y) <int32 a = {0}, int32 e = {3}> { y = Clip(x, a, e) }"),
    Case("causal", """(int32[t] p) => (bool[t,t] y) <int64[1] a = {0}, int64[1] b = {1}>
        { r = Unsqueeze(p, b) c = Unsqueeze(p, a) y = GreaterOrEqual(r, c) }"""),
    Case("softmax_attention", """(float[b,t,4] q, float[b,p,4] k) => (float[b,t,4] y)
        { i = Transpose<perm = [0,2,1]>(k) s = MatMul(q, i) w = Softmax(s) y = MatMul(w, k) }"""),
    Case("named_constants", f"{X} {{ c = Constant<value = float {{2.0}}>() d = Identity(c) y = Mul(x, d) }}"),
    Case("argmax", "(float[b,4] x) => (int32[b,1] y) { i = ArgMax<axis = 1>(x) y = Cast<to = 6>(i) }"),
)  # fmt: skip

BAD = (
    Case("opset_18", f"{X} {{ y = Relu(x) }}", ("opset",), opset=18),
    Case("opset_21", f"{X} {{ y = Relu(x) }}", ("opset", "ir-version"), opset=21, ir=10),
    Case("no_opset", f"{X} {{ y = Relu(x) }}", ("opset",), change=lambda model: model.opset_import.pop()),
    Case("ir_10", f"{X} {{ y = Relu(x) }}", ("ir-version",), ir=10),
    Case("disguised_mean", f"{X} <int64[1] a = {{1}}> {{ m = ReduceMean(x, a) y = Sub(x, m) }}",
         ("opset-18-in-disguise",), "n0"),
    Case("disguised_max", f"{X} {{ m = ReduceMax<axes = [1], noop_with_empty_axes = 0>(x) y = Sub(x, m) }}",
         ("opset-18-in-disguise",), "n0"),
    Case("disguised_split", "(float[b,4] x) => (float[b,2] y, float[b,2] z) "
         "{ y, z = Split<axis = 1, num_outputs = 2>(x) }", ("opset-18-in-disguise",), "n0"),
    Case("disguised_pad", "(float[b,4] x) => (float[b,6] y) <int64[2] p = {1,1}, float v = {0.0}, "
         "int64[1] a = {1}> { y = Pad(x, p, v, a) }", ("opset-18-in-disguise",), "n0"),
    Case("open_18", f"{X} <int64[1] a = {{1}}> {{ m = ReduceMean(x, a) y = Sub(x, m) }}",
         ("opset-18-form", "opset"), "n0", opset=18),
    Case("strange_attribute", f"{X} {{ y = Relu<alpha = 0.1>(x) }}", ("unknown-attribute",), "n0"),
    Case("noop_sum", f"{X} {{ y = ReduceSum<noop_with_empty_axes = 1>(x) }}", ("noop-axes",), "n0"),
    Case("fused", f"{X} {{ y = com.microsoft.FastGelu(x) }}", ("custom-domain",), "n0",
         imports=', "com.microsoft" : 1'),
    Case("custom_relu", f"{X} {{ y = own.Relu(x) }}", ("custom-domain",), "n0", imports=', "own" : 1'),
    Case("layer_norm", f"{X} <float[4] w = {{1.0,1.0,1.0,1.0}}> {{ y = LayerNormalization(x, w) }}",
         ("unsupported-op",), "n0"),
    Case("is_inf", "(float[b] x) => (bool[b] y) { y = IsInf(x) }", ("unsupported-op",), "n0"),
    Case("dynamic_int8", "(float[b,4] x) => (uint8[b,4] y, float s, uint8 z) "
         "{ y, s, z = DynamicQuantizeLinear(x) }",
         ("unsupported-op", "type"), "n0"),
    Case("matmul_integer", "(int8[a,b] x, int8[b,c] z) => (int32[a,c] y) { y = MatMulInteger(x, z) }",
         ("unsupported-op",), "n0"),
    Case("hardmax", f"{X} {{ y = Hardmax(x) }}", ("unsupported-op",), "n0"),
    Case("bitwise", "(int32[b] x) => (int32[b] y) { y = BitwiseNot(x) }", ("unsupported-op", "opset"), "n0",
         opset=18),
    Case("sequence_in", "(seq(float[b]) x) => (float[c] y) { y = ConcatFromSequence<axis = 0>(x) }",
         ("sequence-type",), "n0"),
    Case("sequence_made", "(float[b] x) => (int32 y) { s = SequenceConstruct(x) n = SequenceLength(s) "
         "y = Cast<to = 6>(n) }", ("sequence-type",), "n0"),
    Case("optional_in", f"{X} {{ y = Relu(x) }}", ("sequence-type",), "maybe", change=_optional),
    Case("trilu_4", "(float[2,2,a,b] x) => (float[2,2,a,b] y) { y = Trilu(x) }", ("trilu-rank",), "n0"),
    Case("top_k_dynamic", "(float[b,8] x, int32[1] n) => (float[b,c] y) "
         "{ k = Cast<to = 7>(n) y, i = TopK(x, k) }", ("topk-k",), "n1"),
    Case("top_k_large", "(float[b,8000] x) => (float[b,3841] y) <int64[1] k = {3841}> { y, i = TopK(x, k) }",
         ("topk-k",), "n0"),
    Case("integer_sum", "(int32[b,4] x) => (int32[b,1] y) <int64[1] a = {1}> { y = ReduceSum(x, a) }",
         ("integer-reduce",), "n0"),
    Case("cum_sum", f"{X} <int64 a = {{1}}> {{ y = CumSum(x, a) }}", ("cumsum",), "n0"),
    Case("one_hot_dynamic", "(int32[b] x, int32 d) => (float[b,c] y) <float[2] v = {0.0,1.0}> "
         "{ y = OneHot(x, d, v) }", ("onehot",), "n0"),
    Case("mod_floats", f"{X} <float k = {{3.0}}> {{ y = Mod(x, k) }}", ("mod",), "n0"),
    Case("branches_apart", _IF + """ <then_branch = t () => (float[2] p) { p = Relu(x) },
        else_branch = e () => (float[3] q) { q = Constant<value = float[3] {1.0,2.0,3.0}>() }> }""",
         ("if-branches",), "n0"),
    Case("inside_a_branch", _IF + """ <then_branch = t () => (float[2] p) { p = Hardmax(x) },
        else_branch = e () => (float[2] q) { q = Neg(x) }> }""", ("unsupported-op",), "n1"),
    Case("einsum_ellipsis", '(float[a,b] x, float[b,c] z) => (float[a,c] y) '
         '{ y = Einsum<equation = "...j,jk->...k">(x, z) }', ("einsum",), "n0"),
    Case("einsum_diagonal", '(float[3,3] x) => (float[3] y) { y = Einsum<equation = "ii->i">(x) }',
         ("einsum",), "n0"),
    Case("loop_dynamic", """(int32 n, float[2] x) => (float[2] y) <bool go = {1}> { m = Cast<to = 7>(n)
        y = Loop(m, go, x) <body = step (int64 i, bool c, float[2] s) => (bool d, float[2] t)
        { d = Identity(c) t = Add(s, s) }> }""", ("loop",), "n1"),
    Case("scan_stateless", """(float[3,2] x) => (float[a,b] y) { y = Scan<num_scan_inputs = 1, body =
        step (float[2] v) => (float[2] w) { w = Relu(v) }>(x) }""", ("scan",), "n0"),
    Case("scan_backwards",
         f"{_SCAN} {{ s, y = Scan<num_scan_inputs = 1, scan_input_axes = [-2], {_STEP}>(zero, x) }}",
         ("scan",), "n0"),
    Case("int64_in", "(int64[b] x) => (float[b] y) { y = Cast<to = 1>(x) }", ("wide-io",), "x"),
    Case("double_out", "(float[b] x) => (double[b] y) { y = Cast<to = 11>(x) }", ("wide-io",), "y"),
    Case("minus_infinity", f"{X} <float z = {{0.0}}> {{ g = Greater(x, z) y = Where(g, x, low) }}",
         ("infinite-constant",), "n1", change=_weights("low", np.array(-np.inf, np.float32))),
    Case("wide_constant", "(float[b,4] x) => (float[b,c] y) <int64[1] a = {0}, int64[1] e = {9223372036854775807}, "
         "int64[1] one = {1}> { y = Slice(x, a, e, one) }", ("wide-constant",), "n0"),
    Case("nameless_dimension", "(float[?,4] x) => (float[?,4] y) { y = Relu(x) }", ("unnamed-dimension",), "x"),
    Case("nameless_node", f"{X} {{ y = Relu(x) }}", ("unnamed-node",), "y", change=_renamed(0, "")),
    Case("twins", f"{X} {{ a = Relu(x) y = Neg(a) }}", ("duplicate-name",), "n0", change=_renamed(1, "n0")),
    Case("zero_point", f"{X} <float scale = {{0.5}}, int8 zero = {{3}}> {{ q = QuantizeLinear(x, scale, zero) "
         "y = DequantizeLinear(q, scale, zero) }", ("zero-point",), "n0"),
    Case("no_zero_point", f"{X} <float scale = {{0.5}}, int8 zero = {{0}}> {{ q = QuantizeLinear(x, scale, zero) "
         "y = DequantizeLinear(q, scale) }", ("zero-point",), "n1"),
    Case("unsigned_zero", f"{X} <float scale = {{0.5}}, uint8 zero = {{0}}> {{ q = QuantizeLinear(x, scale, zero) "
         "y = DequantizeLinear(q, scale, zero) }", ("zero-point",), "n0"),
    Case("no_axis", """(float[b,2] x) => (float[b,2] y) <float[2] s = {0.5,0.25}, int8[2] z = {0,0},
        int8[2,2] w = {1,2,3,4}> { d = DequantizeLinear(w, s, z) y = MatMul(x, d) }""", ("quantised-axis",), "n0"),
    Case("channels_of_activations", """(float[b,2] x) => (float[b,2] y) <float[2] s = {0.5,0.25}, int8[2] z = {0,0}>
        { q = QuantizeLinear<axis = 1>(x, s, z) y = DequantizeLinear<axis = 1>(q, s, z) }""",
         ("quantised-axis",), "n0"),
    Case("scale_computed", "(float[b,2] x, float s) => (float[b,2] y) <int8 z = {0}> "
         "{ q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) }", ("quantised-scale",), "n0"),
    Case("weights_missing", "(float[b,4] x) => (float[b,4] y) { y = Mul(x, w) }", ("external-data",), "w",
         change=_outside((4,))),
    Case("weights_too_large", "(float[b,30000] x) => (float[b,30000] y) { y = MatMul(x, w) }",
         ("too-large", "external-data"), "", change=_outside((30000, 30000))),
    Case("shape_slice", "(float[b,4] x) => (int32[1] y) { s = Shape<start = 1>(x) y = Cast<to = 6>(s) }",
         ("shape-slice",), "n0"),
    Case("scatter_add", "(float[4] x, float[1] u) => (float[4] y) <int64[1,1] i = {2}> "
         '{ y = ScatterND<reduction = "add">(x, i, u) }', ("scatter-reduction",), "n0"),
    Case("slice_axes", """(float[b,4] x, int32[1] n) => (float[c,d] y) <int64[1] s = {0}, int64[1] e = {1}>
        { a = Cast<to = 7>(n) y = Slice(x, s, e, a) }""", ("constant-input",), "n1"),
    Case("squeeze_all", "(float[b,1] x) => (float[c] y) { y = Squeeze(x) }", ("constant-input",), "n0"),
    Case("pad_wrap", "(float[b,4] x) => (float[b,6] y) <int64[4] p = {0,1,0,1}> { y = Pad<mode = \"wrap\">(x, p) }",
         ("pad",), "n0"),
    Case("integer_relu", "(int32[b] x) => (int32[b] y) { y = Relu(x) }", ("type",), "n0"),
    Case("bfloat", "(float[b] x) => (float[b] y) { a = Cast<to = 16>(x) y = Cast<to = 1>(a) }", ("type",), "n0"),
    Case("integer_power", f"{X} <int64 two = {{2}}> {{ y = Pow(x, two) }}", ("type",), "n0"),
    Case("bool_scatter", "(bool[4] x, bool[1] u) => (bool[4] y) <int64[1,1] i = {2}> { y = ScatterND(x, i, u) }",
         ("type",), "n0"),
    Case("nine_dimensions", "(float[1,1,1,1,1,1,1,1,b] x) => (float[1,1,1,1,1,1,1,1,b] y) { y = Relu(x) }",
         ("rank",), "x"),
    Case("own_function", f"{X} {{ y = Relu(x) }}", ("function",), "twice", change=_function),
    Case("undefined", f"{X} {{ y = Add(x, nowhere) }}", ("undefined-value",), "n0"),
)  # fmt: skip


def saved(case: Case, path: Any) -> Any:
    path.write_bytes(case.model().SerializeToString())
    return path


def feed(model: Any, sizes: dict[str, int] | None = None) -> dict[str, Any]:
    """Inputs of fixed numbers; a dynamic dimension is 2 long unless told."""
    rng = np.random.default_rng(7)
    found = {}
    for each in model.graph.input:
        kind = helper.tensor_dtype_to_np_dtype(each.type.tensor_type.elem_type)
        dims = each.type.tensor_type.shape.dim
        shape = [d.dim_value if d.HasField("dim_value") else (sizes or {}).get(d.dim_param, 2) for d in dims]
        floats = np.asarray(rng.standard_normal(shape))
        found[each.name] = np.asarray(floats if np.dtype(kind).kind == "f" else np.abs(floats) * 2).astype(kind)
    return found


def run(model: Any, inputs: dict[str, Any]) -> list[Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return list(onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, inputs))
