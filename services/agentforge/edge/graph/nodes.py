"""A graph being rewritten by rules: makers and users of names, sizes, nodes that stand once for all layers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

MICROSOFT = "com.microsoft"
_OPERATORS = {"FusedMatMul", "RotaryEmbedding", "SkipSimplifiedLayerNormalization"}
_SMALL = 64  # numbers of a constant that may be a shape: inference has no use for larger ones


class Piece(NamedTuple):
    """source[start:end] along one axis; bounds are numbers where they are known, else names."""

    node: Any
    source: str
    start: int | str
    end: int | str
    axis: int


class Nodes:
    def __init__(self, model: Any) -> None:
        import onnx

        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        if MICROSOFT not in {each.domain for each in self.model.opset_import}:
            self.model.opset_import.append(onnx.helper.make_opsetid(MICROSOFT, 1))
        self.graph = self.model.graph
        self.outputs = {each.name for each in self.graph.output}
        self._types: dict[str, Any] = {}
        self._constants = {each.name: each for each in self.graph.initializer}
        self._names = {name for node in self.graph.node for name in (*node.input, *node.output)}
        self._names |= {each.name for each in self.graph.input} | self._constants.keys()
        self._once: dict[tuple[Any, ...], str] = {}
        self.named = {
            size.dim_param: (each.name, place)
            for each in reversed(self.graph.input)
            for place, size in enumerate(each.type.tensor_type.shape.dim)
            if size.dim_param
        }
        self._list = list(self.graph.node)
        self._index()
        self._bounds_as_constants()
        self._infer()

    def _bounds_as_constants(self) -> None:
        """Sizes of what is cut are then known."""
        for node in self.of("Slice"):
            for place, name in enumerate(node.input[1:], 1):
                if name not in self._constants and (number := self.whole_number(name)) is not None:
                    node.input[place] = self.vector(number)

    def _infer(self) -> None:
        import onnx

        bare = onnx.ModelProto(ir_version=self.model.ir_version, opset_import=self.model.opset_import)
        bare.graph.node.extend(self._list)
        bare.graph.input.extend(self.graph.input)
        bare.graph.output.extend(self.graph.output)
        for name in [name for node in self._list if node.domain for name in node.output]:
            if name in self._types:
                bare.graph.value_info.append(onnx.ValueInfoProto(name=name, type=self._types[name]))
        for each in self._constants.values():
            if np.prod(each.dims) <= _SMALL:
                bare.graph.initializer.append(each)
            else:
                bare.graph.input.append(onnx.helper.make_tensor_value_info(each.name, each.data_type, each.dims))
        known = onnx.shape_inference.infer_shapes(bare, data_prop=True).graph
        for told in (*known.value_info, *known.input, *known.output):
            self._types[told.name] = told.type

    def _index(self) -> None:
        self._makers = {name: node for node in self._list for name in node.output}
        self._users: dict[str, list[Any]] = defaultdict(list)
        for node in self._list:
            for name in dict.fromkeys(node.input):
                self._users[name].append(node)

    def of(self, operator: str) -> list[Any]:
        return [each for each in self._list if each.op_type == operator]

    def maker(self, name: str, operator: str | None = None) -> Any:
        node = self._makers.get(name)
        return node if operator is None or (node is not None and node.op_type == operator) else None

    def users(self, name: str) -> list[Any]:
        return self._users[name]

    def attribute(self, node: Any, name: str) -> Any:
        import onnx

        return next((onnx.helper.get_attribute_value(each) for each in node.attribute if each.name == name), None)

    def kind(self, name: str) -> int | None:
        return self._types[name].tensor_type.elem_type if name in self._types else None

    def shape(self, name: str) -> list[Any] | None:
        """Numbers, names, and None; None as a whole where not even the rank is known."""
        if name in self._constants:
            return list(self._constants[name].dims)
        if name not in self._types or not self._types[name].tensor_type.HasField("shape"):
            return None
        dims = self._types[name].tensor_type.shape.dim
        return [each.dim_value if each.HasField("dim_value") else each.dim_param or None for each in dims]

    def constant(self, name: str) -> Any:
        import onnx

        return onnx.numpy_helper.to_array(self._constants[name]) if name in self._constants else None

    def whole_number(self, name: str) -> int | None:
        """Of a single number that is known before the graph runs."""
        value = self.constant(name)
        if value is not None:
            return int(value.item()) if value.size == 1 else None
        node = self.maker(name)
        if node is None:
            return None
        if node.op_type in ("Unsqueeze", "Squeeze", "Cast"):
            return self.whole_number(node.input[0])
        if node.op_type == "Gather" and (shape := self.maker(node.input[0], "Shape")) is not None:
            sizes, place = self.shape(shape.input[0]), self.whole_number(node.input[1])
            found = sizes[place] if sizes and place is not None else None
            return found if isinstance(found, int) else None
        if node.op_type == "Div":
            above, below = map(self.whole_number, node.input)
            return None if above is None or not below else above // below
        return None

    def piece(self, name: str) -> Piece | None:
        """What a Slice takes, if its steps are 1."""
        node = self.maker(name, "Slice")
        if node is None or len(node.input) < 4 or (len(node.input) > 4 and self.whole_number(node.input[4]) != 1):
            return None
        axis = self.whole_number(node.input[3])
        start, end = (self._known(each) for each in node.input[1:3])
        if axis is None:
            return None
        size = sizes[axis] if (sizes := self.shape(node.input[0])) else None
        if isinstance(size, int) and isinstance(end, int):
            end = min(size, end)
        return Piece(node, node.input[0], start, end, axis)

    def _known(self, name: str) -> int | str:
        number = self.whole_number(name)
        return name if number is None else number

    def pieces(self, source: str) -> list[Piece]:
        """All that is cut from it, in order as far as each begins where one before it ended."""
        found = [self.piece(each.output[0]) for each in self.users(source) if each.op_type == "Slice"]
        left = {each.start: each for each in found if each is not None and each.source == source}
        first: int | str | None = min((each for each in left if isinstance(each, int)), default=None)
        ordered = []
        while first is not None and (each := left.pop(first, None)) is not None:
            ordered.append(each)
            first = each.end
        return ordered

    def free(self, name: str) -> str:
        number, found = 1, name
        while found in self._names:
            number, found = number + 1, f"{name}.{number}"
        self._names.add(found)
        return found

    def tensor(self, array: Any) -> str:
        import onnx

        key = ("", array.dtype.str, array.shape, array.tobytes())
        if key not in self._once:
            made = onnx.numpy_helper.from_array(array, self.free(f"constant_{len(self._once)}"))
            self.graph.initializer.append(made)
            self._constants[made.name] = made
            self._once[key] = made.name
        return self._once[key]

    def vector(self, *values: int) -> str:
        return self.tensor(np.array(values, np.int64))

    def whole(self, value: int) -> str:
        return self.tensor(np.array(value, np.int64))

    def number(self, value: float) -> str:
        return self.tensor(np.array(value, np.float32))

    def size(self, name: str) -> str:
        """A named size of the graph's inputs, as a scalar."""
        source, place = self.named[name]
        return self.once("Gather", [self.once("Shape", [source]), self.whole(place)], axis=0)

    def once(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        """The only node that does this, for all layers."""
        key = (operator, *inputs, *sorted(attributes.items()))
        if key not in self._once:
            name = self.free(f"once/{operator}_{len(self._once)}")
            self._add(operator, inputs, [name], attributes)
            self._once[key] = name
        return self._once[key]

    def add(
        self, like: Any, operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any
    ) -> str:
        """In the same module as another."""
        self._add(operator, inputs, outputs, attributes).metadata_props.extend(like.metadata_props)
        return outputs[0]

    def _add(self, operator: str, inputs: Sequence[str], outputs: Sequence[str], attributes: dict[str, Any]) -> Any:
        import onnx

        domain = MICROSOFT if operator in _OPERATORS else ""
        name = self.free(f"{outputs[0]}/{operator}")
        made = onnx.helper.make_node(operator, inputs, outputs, name, domain=domain, **attributes)
        self._list.append(made)
        self._makers.update({each: made for each in outputs if each})
        for each in dict.fromkeys(inputs):
            self._users[each].append(made)
        return made

    def remove(self, node: Any) -> None:
        self._list = [each for each in self._list if each is not node]
        for name in node.input:
            self._users[name] = [each for each in self._users[name] if each is not node]

    def replace(self, node: Any, operator: str, inputs: Sequence[str], **attributes: Any) -> None:
        self.remove(node)
        self.add(node, operator, inputs, list(node.output), **attributes)

    def rename(self, old: str, new: str) -> None:
        """Whoever uses the old takes the new, unless the old is what the graph gives."""
        if old in self.outputs:
            return
        for node in self.users(old):
            for place, name in enumerate(node.input):
                if name == old:
                    node.input[place] = new
            self._users[new].append(node)
        self._users[old] = []

    def tidy(self) -> None:
        """In an order that can be run; what is done twice once, what nobody uses not at all."""
        self._sort()
        self._merge()
        needed, kept = set(self.outputs), []
        for node in reversed(self._list):
            if not needed.isdisjoint(node.output):
                kept.append(node)
                needed.update(node.input)
        self._list = kept[::-1]
        self._index()
        self._infer()

    def _sort(self) -> None:
        done: dict[int, bool] = {}
        ordered = []
        for root in self._list:
            stack = [root]
            while stack:
                node = stack[-1]
                waits = [self._makers[each] for each in node.input if each in self._makers]
                waits = [each for each in waits if id(each) not in done]
                if waits:
                    stack += waits
                    continue
                stack.pop()
                if id(node) not in done:
                    done[id(node)] = True
                    ordered.append(node)
        self._list = ordered

    def _merge(self) -> None:
        seen: dict[tuple[Any, ...], Any] = {}
        for node in self._list:
            attributes = sorted(each.SerializeToString() for each in node.attribute)
            first = seen.setdefault((node.domain, node.op_type, *node.input, *attributes), node)
            if first is not node and self.outputs.isdisjoint(node.output):
                for old, new in zip(node.output, first.output, strict=True):
                    self.rename(old, new)

    def finish(self) -> Any:
        import onnx

        used = {name for node in self._list for name in node.input}
        for each in [each for each in self.graph.initializer if each.name not in used]:
            self.graph.initializer.remove(each)
        copies = [onnx.NodeProto.FromString(each.SerializeToString()) for each in self._list]
        del self.graph.node[:]
        self.graph.node.extend(copies)
        return self.model
