"""A small decoder in the shape of the edge contract: table, layers run twice, tied head; explicit state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from agentforge.kit.rng import Rng

F, I32 = TensorProto.FLOAT, TensorProto.INT32


@dataclass
class Toy:
    """Weights [N, K] as torch keeps them, each given to its MatMul through a Transpose."""

    layers: int = 2
    passes: int = 2
    hidden: int = 40  # not a multiple of 32
    heads: int = 2
    inner: int = 96
    vocabulary: int = 96
    persistent: int = 3
    opset: int = 21
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    kept: dict[str, Any] = field(default_factory=dict)

    def model(self) -> onnx.ModelProto:
        random = Rng(0, "toy").numpy()
        self._weights(random)
        x = self.add("Gather", ["table", "input_ids"], "embedded")
        for number in range(self.passes * self.layers):
            x = self._layer(x, number)
        x = self._norm(x, "norm")
        last = self.add("Gather", [x, self.keep("last", np.array(-1))], "last_state", axis=1)
        self._product(last, "table", "head", "logits")
        return self._saved()

    def _weights(self, random: np.random.Generator) -> None:
        def gauss(*shape: int) -> Any:
            return (random.standard_normal(shape) * shape[-1] ** -0.5).astype(np.float32)

        d, n = self.hidden, self.inner
        self.keep("table", gauss(self.vocabulary, d) * d**0.5)
        for layer in range(self.layers):
            for part in "qkvo":
                self.keep(f"l{layer}.{part}", gauss(d, d))
            self.keep(f"l{layer}.gate", gauss(n, d))
            self.keep(f"l{layer}.up", gauss(n, d))
            self.keep(f"l{layer}.down", gauss(d, n))
            shape = (1, self.heads, self.persistent, d // self.heads)
            self.keep(f"l{layer}.persistent", random.standard_normal(shape).astype(np.float32))

    def keep(self, name: str, array: Any) -> str:
        self.kept[name] = array
        return name

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], f"n.{output}", **attributes))
        return output

    def _product(self, x: str, weight: str, name: str, output: str = "") -> str:
        turned = self.add("Transpose", [weight], f"{name}.weight", perm=[1, 0])
        self.nodes.append(helper.make_node("MatMul", [x, turned], [output or f"{name}.out"], name))
        return output or f"{name}.out"

    def _norm(self, x: str, name: str) -> str:
        square = self.add("Mul", [x, x], f"{name}.square")
        if self.opset >= 18:
            mean = self.add("ReduceMean", [square, self.keep("axes", np.array([-1]))], f"{name}.mean")
        else:
            mean = self.add("ReduceMean", [square], f"{name}.mean", axes=[-1])
        near = self.add("Add", [mean, self.keep("eps", np.array(1e-6, np.float32))], f"{name}.near")
        root = self.add("Sqrt", [near], f"{name}.root")
        return self.add("Div", [x, root], f"{name}.normed")

    def _split(self, x: str, name: str) -> str:
        shape = self.keep("heads", np.array([0, 0, self.heads, self.hidden // self.heads]))
        return self.add("Transpose", [self.add("Reshape", [x, shape], f"{name}.r")], name, perm=[0, 2, 1, 3])

    def _layer(self, x: str, number: int) -> str:
        w, name = f"l{number % self.layers}", f"p{number}"
        normed = self._norm(x, f"{name}.n1")
        q, k, v = (self._product(normed, f"{w}.{part}", f"{name}.{part}") for part in "qkv")
        q = self._split(q, f"{name}.qh")
        for part, made in (("key", k), ("value", v)):
            self._split(made, f"new.{number}.{part}")
            stored = [f"{w}.persistent", f"window.{number}.{part}", f"new.{number}.{part}"]
            self.add("Concat", stored, f"{name}.{part}", axis=2)
        turned = self.add("Transpose", [f"{name}.key"], f"{name}.key.t", perm=[0, 1, 3, 2])
        scale = self.keep("scale", np.array((self.hidden // self.heads) ** -0.5, np.float32))
        score = self.add("Mul", [self.add("MatMul", [q, turned], f"{name}.s"), scale], f"{name}.score")
        weights = self.add("Softmax", [score], f"{name}.w", axis=-1)
        mixed = self.add("MatMul", [weights, f"{name}.value"], f"{name}.mixed")
        flat = self.add("Transpose", [mixed], f"{name}.flat", perm=[0, 2, 1, 3])
        joined = self.add("Reshape", [flat, self.keep("joined", np.array([0, 0, -1]))], f"{name}.joined")
        x = self.add("Add", [x, self._product(joined, f"{w}.o", f"{name}.o")], f"{name}.a")
        normed = self._norm(x, f"{name}.n2")
        gate, up = (self._product(normed, f"{w}.{part}", f"{name}.{part}") for part in ("gate", "up"))
        act = self.add("Mul", [gate, self.add("Sigmoid", [gate], f"{name}.sig")], f"{name}.silu")
        inner = self.add("Mul", [act, up], f"{name}.inner")
        return self.add("Add", [x, self._product(inner, f"{w}.down", f"{name}.down")], f"{name}.b")

    def _saved(self) -> onnx.ModelProto:
        size = self.hidden // self.heads
        windows = range(self.passes * self.layers)
        info = helper.make_tensor_value_info
        inputs = [info("input_ids", I32, ["batch", "time"])]
        outputs = [info("logits", F, ["batch", self.vocabulary])]
        for number in windows:
            for part in ("key", "value"):
                inputs.append(info(f"window.{number}.{part}", F, ["batch", self.heads, "past", size]))
                outputs.append(info(f"new.{number}.{part}", F, ["batch", self.heads, "time", size]))
        kept = [numpy_helper.from_array(np.asarray(array), name) for name, array in self.kept.items()]
        graph = helper.make_graph(self.nodes, "toy", inputs, outputs, kept)
        opsets, ir = [helper.make_opsetid("", self.opset)], 8 if self.opset <= 17 else 10
        return helper.make_model(graph, opset_imports=opsets, ir_version=ir)

    def feed(self, number: int = 0, *, batch: int = 1, time: int = 3, past: int = 4) -> dict[str, Any]:
        random = Rng(number, "feed").numpy()
        found: dict[str, Any] = {"input_ids": random.integers(0, self.vocabulary, (batch, time)).astype(np.int32)}
        shape = (batch, self.heads, past, self.hidden // self.heads)
        for window in range(self.passes * self.layers):
            for part in ("key", "value"):
                found[f"window.{window}.{part}"] = random.standard_normal(shape).astype(np.float32)
        return found
