"""Norms and activations that 8.5 has not, in its operators."""

from __future__ import annotations

import math

from onnx import TensorProto

from agentforge.edge.lowering.draft import Draft


def layer_norm(draft: Draft) -> None:
    if any(draft.node.output[1:]):
        raise draft.refuse("its mean and deviation are read, too", "Export without them: they serve training.")
    x = _floats(draft)
    axes = _axes(draft)
    centred = draft.op("Sub", x, draft.op("ReduceMean", x, axes=axes, keepdims=1))
    _scaled(draft, centred, axes)


def rms_norm(draft: Draft) -> None:
    """As it is in the model: x * rsqrt(mean(x^2) + eps), in float32 also where x is float16."""
    _scaled(draft, _floats(draft), _axes(draft))


def _floats(draft: Draft) -> str:
    half = draft.kind == TensorProto.FLOAT16
    return draft.op("Cast", draft.input(0), to=TensorProto.FLOAT) if half else draft.input(0)


def _axes(draft: Draft) -> list[int]:
    axis, shape = draft.given.get("axis", -1), draft.view.shape(draft.input(0))
    if axis >= 0 and shape is None:
        raise draft.refuse("the rank of its input is not known", "Count the axis from the back: axis = -1.")
    return list(range(axis - len(shape or ()) if axis >= 0 else axis, 0))


def _scaled(draft: Draft, x: str, axes: list[int]) -> None:
    mean = draft.op("ReduceMean", draft.op("Mul", x, x), axes=axes, keepdims=1)
    kept = draft.op("Add", mean, draft.constant(draft.given.get("epsilon", 1e-5)))
    normed = draft.op("Mul", x, draft.op("Reciprocal", draft.op("Sqrt", kept)))
    if draft.kind == TensorProto.FLOAT16:
        normed = draft.op("Cast", normed, to=TensorProto.FLOAT16)
    if draft.input(2):
        draft.finish("Add", draft.op("Mul", normed, draft.input(1)), draft.input(2))
    elif draft.input(1):
        draft.finish("Mul", normed, draft.input(1))
    else:
        draft.finish("Identity", normed)


def gelu(draft: Draft) -> None:
    x = draft.input(0)
    if draft.given.get("approximate", b"none") == b"tanh":
        cube = draft.op("Mul", draft.op("Mul", draft.op("Mul", x, x), x), draft.like(0.044715))
        inner = draft.op("Mul", draft.op("Add", x, cube), draft.like(math.sqrt(2 / math.pi)))
        bent = draft.op("Tanh", inner)
    else:
        bent = draft.op("Erf", draft.op("Mul", x, draft.like(math.sqrt(0.5))))
    draft.finish("Mul", draft.op("Mul", x, draft.like(0.5)), draft.op("Add", bent, draft.like(1.0)))


def swish(draft: Draft) -> None:
    x, alpha = draft.input(0), draft.given.get("alpha", 1.0)
    draft.finish("Mul", x, draft.op("Sigmoid", x if alpha == 1.0 else draft.op("Mul", x, draft.like(alpha))))


def mish(draft: Draft) -> None:
    x = draft.input(0)
    draft.finish("Mul", x, draft.op("Tanh", draft.op("Softplus", x)))


REWRITES = {
    "LayerNormalization": layer_norm, "RMSNormalization": rms_norm,
    "Gelu": gelu, "Swish": swish, "Mish": mish,
}  # fmt: skip
