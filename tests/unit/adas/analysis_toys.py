"""Tiny graphs in the contract's shape, with the module's name on every node."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from agentforge.edge.graph.facts import GraphFacts, MemoryFacts

HIDDEN, HEADS, HEAD, VOCABULARY = 8, 2, 4, 32
DIMS = {"batch": 2, "time": 3, "past": 5, "stored": 0}
FACTS = GraphFacts(VOCABULARY, HIDDEN, HEADS, HEAD, windows=1, window=64, context=None, piece=16)
FULL = GraphFacts(VOCABULARY, HIDDEN, HEADS, HEAD, windows=1, window=None, context=None, piece=16)
REMEMBERING = GraphFacts(
    VOCABULARY, HIDDEN, HEADS, HEAD, windows=1, window=64, context=None, piece=64,
    memory=MemoryFacts((0,), slots=100, chunk=16, keep_by="fifo", log_decay=0.0),
)  # fmt: skip


def node(op: str, ins: list[str], out: str, module: str, **attributes: Any) -> Any:
    made = helper.make_node(op, ins, [out], name=f"{op}:{out}", **attributes)
    made.metadata_props.add(key="module", value=module)
    return made


def model(nodes: list[Any], inputs: dict[str, Any], outputs: dict[str, Any], weights: dict[str, Any]) -> Any:
    ins = [helper.make_tensor_value_info(name, *told) for name, told in inputs.items()]
    outs = [helper.make_tensor_value_info(name, *told) for name, told in outputs.items()]
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "toy", ins, outs, tensors)
    domains = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1), helper.make_opsetid("ours", 1)]
    return helper.make_model(graph, opset_imports=domains, ir_version=8)


def window(facts: GraphFacts = FACTS) -> Any:
    """Embedding, one attention over a window of keys and values, head: a step of a model in miniature."""
    float_, names = TensorProto.FLOAT, ("key", "value")
    stored = {f"window.0.{name}": (float_, ["batch", HEADS, "past", HEAD]) for name in names}
    inputs = {"input_ids": (TensorProto.INT32, ["batch", "time"]), **stored}
    outputs: dict[str, Any] = {"logits": (float_, ["batch", "time", VOCABULARY])}
    outputs |= {f"new.0.{name}": (float_, ["batch", HEADS, "time", HEAD]) for name in names}
    nodes = [node("Gather", ["table", "input_ids"], "x", "embed"), node("Shape", ["x"], "shape", "layers.0")]
    nodes += [node("Slice", ["shape", "zero", "two"], "rows", "layers.0"),
              node("Concat", ["rows", "heads"], "split", "layers.0", axis=0)]  # fmt: skip
    for name, out in (("query", "query"), *((name, f"new.0.{name}") for name in names)):
        module = f"layers.0.attention.{name}"
        nodes += [node("MatMul", ["x", f"w.{name}"], f"flat.{name}", module),
                  node("Reshape", [f"flat.{name}", "split"], f"split.{name}", module),
                  node("Transpose", [f"split.{name}"], out, module, perm=[0, 2, 1, 3])]  # fmt: skip
    for name in names:
        nodes.append(node("Concat", [f"window.0.{name}", f"new.0.{name}"], f"all.{name}", "layers.0", axis=2))
    nodes += [
        node("Transpose", ["all.key"], "keys", "layers.0", perm=[0, 1, 3, 2]),
        node("MatMul", ["query", "keys"], "dots", "layers.0"), node("Softmax", ["dots"], "shares", "layers.0"),
        node("MatMul", ["shares", "all.value"], "mixed", "layers.0"),
        node("Transpose", ["mixed"], "back", "layers.0", perm=[0, 2, 1, 3]),
        node("Shape", ["x"], "flat_shape", "layers.0"), node("Reshape", ["back", "flat_shape"], "read", "layers.0"),
        node("MatMul", ["read", "w.o"], "first", "layers.0.attention.o"),
        node("MatMul", ["first", "w.o"], "out", "layers.0.attention.o"),  # the same weights again, as in two passes
        node("Transpose", ["table"], "head", "lm_head", perm=[1, 0]),
        node("MatMul", ["out", "head"], "logits", "lm_head"),
    ]  # fmt: skip
    weights: dict[str, Any] = {
        f"w.{name}": np.ones((HIDDEN, HIDDEN), np.float32) for name in ("query", *names, "o")
    }
    weights |= {"table": np.ones((VOCABULARY, HIDDEN), np.float32), "zero": np.array([0]), "two": np.array([2])}
    return model(nodes, inputs, outputs, weights | {"heads": np.array([HEADS, HEAD])})
