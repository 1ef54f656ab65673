"""New nodes in the place of one: they bear its name and its module."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from agentforge.edge.rules.view import View, attributes, label, module_of
from agentforge.kit.errors import Violation

REASON = "CANNOT_LOWER"


class CannotLower(Exception):
    """One node that nobody can write with the operators of opset 17; all are told at once."""

    def __init__(self, node: Any, message: str, next_step: str) -> None:
        super().__init__(message)
        inside = module_of(node)
        where = f" in module {inside}" if inside else ""
        text = f"{node.op_type} {label(node)!r}{where}: {message}"
        self.violation = Violation(label(node), text, REASON, next_step)


class Draft:
    def __init__(self, view: View, node: Any) -> None:
        self.view, self.node, self.nodes = view, node, list[Any]()
        self.given = dict(attributes(node))

    def input(self, index: int) -> str:
        return self.view.operand(self.node, index)

    @property
    def kind(self) -> int:
        return self.view.type(self.input(0))

    def constant(self, value: Any, kind: Any = np.float32) -> str:
        array = np.array(value, kind)
        count = len(self.view.graph.initializer)
        while (name := f"{label(self.node)}.{count}") in self.view.constants:
            count += 1
        tensor = numpy_helper.from_array(array, name)
        self.view.graph.initializer.append(tensor)
        self.view.constants[name] = tensor
        return name

    def like(self, value: Any) -> str:
        """A constant of the first input's type."""
        return self.constant(value, onnx.helper.tensor_dtype_to_np_dtype(self.kind or TensorProto.FLOAT))

    def op(self, kind: str, *inputs: str, **given: Any) -> str:
        name = f"{label(self.node)}.{kind}_{len(self.nodes)}"
        self._add(kind, inputs, [name], given)
        return name

    def split(self, name: str, sizes: list[int], axis: int) -> list[str]:
        outputs = [f"{label(self.node)}.part_{index}" for index in range(len(sizes))]
        self._add("Split", [name, self.constant(sizes, np.int64)], outputs, {"axis": axis})
        return outputs

    def finish(self, kind: str, *inputs: str, **given: Any) -> None:
        """The last node, which makes what the old one made."""
        self._add(kind, inputs, [self.node.output[0]], given)
        self.nodes[-1].name = label(self.node)

    def drop(self, *names: str) -> None:
        """Attributes of the node that it may not have."""
        kept = [each for each in self.node.attribute if each.name not in names]
        del self.node.attribute[:]
        self.node.attribute.extend(kept)

    def refuse(self, message: str, next_step: str) -> CannotLower:
        return CannotLower(self.node, message, next_step)

    def _add(self, kind: str, inputs: Any, outputs: list[str], given: dict[str, Any]) -> None:
        made = onnx.helper.make_node(kind, list(inputs), outputs, f"{label(self.node)}/{len(self.nodes)}", **given)
        made.metadata_props.extend(self.node.metadata_props)
        self.nodes.append(made)
