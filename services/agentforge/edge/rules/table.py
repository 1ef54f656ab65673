"""Which operators the ONNX parser of TensorRT 8.5 takes, and of which types: onnx-tensorrt, tag release/8.5-GA.

Types are those of docs/operators.md there, and in brackets those that the importers take beyond it (read in
builtin_op_importers.cpp). Mod, OneHot and HardSwish stand there as unsupported although the release brings their
importers; the document was mended five days later.
f float32, h float16, i int32 (int64 is read as it), q int8, b bool.
"""

from __future__ import annotations

OPSET = 17
IR = 8  # of onnx 1.12, which 8.5 is built on

_FLOAT = """
Acos Acosh ArgMax ArgMin Asin Asinh Atan Atanh BatchNormalization Ceil Celu Cos Cosh CumSum Dropout Einsum Erf Exp
Floor GRU GridSample InstanceNormalization LRN LSTM Log LogSoftmax LpNormalization MatMul MeanVarianceNormalization
NonMaxSuppression Pow QuantizeLinear RNN RandomNormal RandomNormalLike RandomUniform RandomUniformLike Reciprocal
ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare
Resize ReverseSequence RoiAlign Scan Sin Sinh Softmax Sqrt Tan TopK Upsample
"""
_FLOAT_INT8 = """
Conv ConvTranspose Elu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool HardSigmoid HardSwish LeakyRelu LpPool
MaxPool PRelu Relu Round Selu Sigmoid Softplus Softsign Tanh ThresholdedRelu
"""
_FLOAT_INT = """
Abs Add DepthToSpace Div Equal Greater GreaterOrEqual IsNaN Less LessOrEqual Max Mean Min Mod Mul Neg Range Shrink
SpaceToDepth Sub Sum
"""
_ALL = """
Cast Concat Constant Gather GatherElements GatherND Identity Reshape Shape Size Slice Squeeze Transpose Trilu
Unsqueeze
"""
_OTHERS = {
    "AveragePool": "fhqi",
    "Clip": "fhq(i)",
    "ConstantOfShape": "f(hib)",
    "DequantizeLinear": "q",
    "Expand": "fhib",
    "EyeLike": "fhib",
    "Flatten": "fhib",
    "If": "fhib",
    "Loop": "fhib",
    "NonZero": "fh(iqb)",
    "OneHot": "fhib",
    "Pad": "fhqi",
    "ScatterElements": "fhqi",
    "ScatterND": "fhqi",
    "Sign": "fhqi",
    "Split": "fhib",
    "Tile": "fhib",
    "Where": "fhib",
    **dict.fromkeys(("And", "Not", "Or", "Xor"), "b"),
}
TYPES: dict[str, str] = {
    **dict.fromkeys(_FLOAT.split(), "fh"),
    **dict.fromkeys(_FLOAT_INT8.split(), "fhq"),
    **dict.fromkeys(_FLOAT_INT.split(), "fhi"),
    **dict.fromkeys(_ALL.split(), "fhiqb"),
    **_OTHERS,
}

# The operand that the types speak of, where it is not the first input; -1 is the first output.
OPERAND = {"ConstantOfShape": -1, "Constant": -1, "EyeLike": -1, "If": -1, "OneHot": 2, "Where": 1,
           "Loop": -1, "RandomNormal": -1, "RandomUniform": -1,
           "Scan": -1}  # fmt: skip

# Ways out for operators that are met in language models and that the parser has not.
WAYS_OUT = {
    "LayerNormalization": "edge.lowering writes it as x * rsqrt(mean(x^2) + eps) of the centred input.",
    "RMSNormalization": "edge.lowering writes it as x * rsqrt(mean(x^2) + eps).",
    "SkipLayerNormalization": "Export without onnxruntime's fusions: they are for another file.",
    "Gelu": "edge.lowering writes it with Erf or Tanh.",
    "Swish": "Write it as x * Sigmoid(x), as edge.lowering does.",
    "Mish": "edge.lowering writes it with Softplus and Tanh.",
    "IsInf": "Compare with a bound instead: Greater(Abs(x), 1e30).",
    "Attention": "Export attention as MatMul, Add and Softmax.",
    "RotaryEmbedding": "Export the rotation as Mul, Slice, Neg and Concat.",
    "DynamicQuantizeLinear": "Quantise statically: QuantizeLinear and DequantizeLinear with constant scales.",
    "MatMulInteger": "Use MatMul between QuantizeLinear/DequantizeLinear pairs.",
    "QLinearMatMul": "Use MatMul between QuantizeLinear/DequantizeLinear pairs (QDQ format).",
    "QLinearConv": "Use Conv between QuantizeLinear/DequantizeLinear pairs (QDQ format).",
    "BitwiseAnd": "On bool use And; on integers use Mod, Mul and Add.",
    "BitwiseOr": "On bool use Or; on integers use Mod, Mul and Add.",
    "BitwiseXor": "On bool use Xor; on integers use Mod, Mul and Add.",
    "BitwiseNot": "edge.lowering writes it as -x - 1.",
    "BitShift": "Multiply, or divide and Floor, by powers of two.",
    "CastLike": "Cast to a type that is written in the node.",
    "Hardmax": "ArgMax and Equal with the numbers of the columns.",
    "Compress": "Multiply by a mask, or gather with indices from TopK.",
    "Unique": "Count outside of the graph.",
    "GroupNormalization": "Reshape, and use InstanceNormalization.",
}  # fmt: skip
DEFAULT_WAY_OUT = "Write this part of the model with operators of the 8.5 table, or keep it outside of the graph."


def supported(op: str) -> bool:
    return op in TYPES


def takes(op: str, kind: str) -> bool:
    """`kind` is one of the letters above."""
    return kind in TYPES[op]


def way_out(op: str) -> str:
    return WAYS_OUT.get(op, DEFAULT_WAY_OUT)
