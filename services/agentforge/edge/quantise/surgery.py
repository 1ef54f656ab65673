"""A graph being rewritten: new constants, nodes in the place of others, and what nobody uses any more left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

HALF_LOSES = 2**-10  # of the norm, at most: more where values are beyond 65,504 or near 0


class Surgery:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        self.graph = self.model.graph
        self._instead: dict[str, list[onnx.NodeProto]] = {}
        self._place: list[onnx.NodeProto] = []
        self._names = {name for node in self.graph.node for name in (*node.input, *node.output)}
        self._names |= {each.name for each in self.graph.initializer} | {each.name for each in self.graph.input}

    def free(self, name: str) -> str:
        """This name, or with a number behind it if it is taken; then it is taken."""
        number, found = 1, name
        while found in self._names:
            number, found = number + 1, f"{name}.{number}"
        self._names.add(found)
        return found

    def constant(self, name: str, array: npt.NDArray[Any]) -> str:
        name = self.free(name)
        self.graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def replace(self, node: onnx.NodeProto) -> None:
        """What `add` makes from now on stands where this node stood."""
        self._place = self._instead.setdefault(node.output[0], [])
        self._old = node

    def add(self, operator: str, inputs: Sequence[str], outputs: str | list[str] = "", **attributes: Any) -> str:
        """The node's first output; without a name for it, one is found. It inherits the old node's module."""
        names = [outputs] if isinstance(outputs, str) else outputs
        names = [each or self.free(f"{self._old.output[0]}.{operator}") for each in names]
        domain = "com.microsoft" if operator == "MatMulNBits" else ""
        name = self._old.name if names[0] == self._old.output[0] else self.free(f"{names[0]}.node")
        made = helper.make_node(operator, inputs, names, name, domain=domain, **attributes)
        made.metadata_props.extend(self._old.metadata_props)
        self._place.append(made)
        return names[0]

    def halve(self, least_bytes: int) -> None:
        """Large float constants in half precision; onnxruntime makes them float again when it loads the file."""
        casts = []
        for each in self.graph.initializer:
            array = numpy_helper.to_array(each)
            if array.dtype != np.float32 or array.nbytes < least_bytes or _lost(array) > HALF_LOSES:
                continue
            stored = self.free(f"{each.name}.half")
            casts.append(helper.make_node("Cast", [stored], [each.name], f"{stored}.cast", to=TensorProto.FLOAT))
            each.CopyFrom(numpy_helper.from_array(array.astype(np.float16), stored))
        self._set([*casts, *self.graph.node])

    def finish(self) -> onnx.ModelProto:
        self._set([new for node in self.graph.node for new in self._instead.get(node.output[0], [node])])
        self._instead.clear()
        self._prune()
        return self.model

    def _set(self, nodes: Sequence[onnx.NodeProto]) -> None:
        nodes = [onnx.NodeProto.FromString(each.SerializeToString()) for each in nodes]
        del self.graph.node[:]
        self.graph.node.extend(nodes)

    def _prune(self) -> None:
        needed, kept = {each.name for each in self.graph.output}, []
        for node in reversed(self.graph.node):
            if needed & set(node.output):
                needed |= _read(node)
                kept.append(node)
        self._set(kept[::-1])
        for field in (self.graph.initializer, self.graph.value_info):
            for place in reversed(range(len(field))):
                if field[place].name not in needed:
                    del field[place]


def _lost(array: npt.NDArray[np.float32]) -> float:
    """Of its norm, by half precision."""
    with np.errstate(over="ignore", invalid="ignore"):
        lost = np.linalg.norm(array.astype(np.float16).astype(np.float32) - array)
    return float(lost / max(np.linalg.norm(array), np.finfo(np.float32).tiny))


def _read(node: onnx.NodeProto) -> set[str]:
    inner = [each.g for each in node.attribute if each.type == onnx.AttributeProto.GRAPH]
    return set(node.input).union(*(_read(each) for graph in inner for each in graph.node))
