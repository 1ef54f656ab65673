"""8 and 4 bits for onnxruntime's CPU. A weight is stored once, however many nodes and passes use it.

8 bits: DynamicQuantizeLinear and MatMulInteger, a scale for each output; onnxruntime fuses them when it loads the
file, and 1.19.2 (the newest for Python 3.8) has them, which has no MatMulNBits of 8 bits. Weights are unsigned, as
signed ones overflow on x86 processors without VNNI. 4 bits: MatMulNBits. D and K inputs, N outputs, V table rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal

import numpy as np
import onnx
from onnx import helper

from agentforge.edge.quantise.codes import MIDDLE, ZERO, Bytes, Codes, eight_bits, four_bits, signs
from agentforge.edge.quantise.products import Floats, Lookup, Product, check_kept, lookups, products
from agentforge.edge.quantise.surgery import Surgery
from agentforge.kit.errors import FailedPrecondition

INT8_ACTIVATIONS = 4  # MatMulNBits' accuracy_level; the fastest on a CPU
EXACT = 1  # for codes of activations, which 8 bits of another scale would round once more
LEAST_OPSET = 18  # BitwiseAnd
HALVED_BYTES = 1 << 14  # float constants from here on are stored in half precision in the 4-bit file
FLOAT = onnx.TensorProto.FLOAT


def quantise_cpu(
    model: onnx.ModelProto, bits: Literal[8, 4], *, keep: Collection[str] = (), block: int = 32
) -> onnx.ModelProto:
    """`keep` names units (products.py) that stay float. `block`: inputs that share a scale, of 4 bits."""
    opset = max(each.version for each in model.opset_import if not each.domain)
    if opset < LEAST_OPSET:
        message = f"the graph is of opset {opset}; quantising for the CPU needs {LEAST_OPSET} or later"
        raise FailedPrecondition(message, reason="OPSET_TOO_OLD", next_step="Export it at opset 21.")
    check_kept(model.graph, keep)
    graph = Surgery(model)
    made = _FourBits(graph, block) if bits == 4 else _EightBits(graph)
    for product in [each for each in products(graph.graph) if each.unit not in keep]:
        graph.replace(product.node)
        made.product(product)
    for lookup in [each for each in lookups(graph.graph) if each.unit not in keep]:
        graph.replace(lookup.node)
        made.lookup(lookup)
    done = graph.finish()
    if bits == 4:
        graph.halve(HALVED_BYTES)
        if not any(each.domain == "com.microsoft" for each in done.opset_import):
            done.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return done


class _Writer:
    """Weights stored by their content: a tied head and its table, or the passes of one layer, are one."""

    def __init__(self, graph: Surgery) -> None:
        self.graph = graph
        self._stored: dict[bytes, tuple[str, str]] = {}
        self._constants: dict[str, str] = {}

    def stored(self, unit: str, w_NK: Floats, code: Callable[[Floats], tuple[Codes, Floats]]) -> tuple[str, str]:
        """Names of codes and scales."""
        w_NK = np.ascontiguousarray(w_NK)
        key = hashlib.sha256(repr(w_NK.shape).encode() + w_NK.tobytes()).digest()
        if key not in self._stored:
            codes, scales = code(w_NK)
            self._stored[key] = (
                self.graph.constant(f"{unit}.codes", codes),
                self.graph.constant(f"{unit}.scales", scales),
            )
        return self._stored[key]

    def constant(self, *values: int, kind: type[np.generic] = np.int64) -> str:
        """Of one value a scalar for bytes and floats, else a vector."""
        array = np.array(values if kind is np.int64 else values[0], kind)
        name = f"{array.dtype}.{'.'.join(map(str, values))}"
        if name not in self._constants:
            self._constants[name] = self.graph.constant(name, array)
        return self._constants[name]

    def with_bias(self, product: Product, operator: str, inputs: Sequence[str], **attributes: Any) -> None:
        output = product.node.output[0]
        made = self.graph.add(operator, inputs, "" if product.bias else output, **attributes)
        if product.bias:
            self.graph.add("Add", [made, product.bias], output)

    def flat_ids(self, lookup: Lookup) -> str:
        return self.graph.add("Reshape", [lookup.node.input[1], self.constant(-1)])

    def shaped(self, lookup: Lookup, rows: str) -> None:
        """Rows [ids, D] in the shape of the ids."""
        shape = self.graph.add("Shape", [lookup.node.input[1]])
        shape = self.graph.add("Concat", [shape, self.constant(lookup.table_VD.shape[1])], axis=0)
        self.graph.add("Reshape", [rows, shape], lookup.node.output[0])


class _FourBits(_Writer):
    def __init__(self, graph: Surgery, block: int) -> None:
        super().__init__(graph)
        self.block = block

    def _code(self, w_NK: Floats) -> tuple[Bytes, Floats]:
        return four_bits(w_NK, self.block)

    def product(self, product: Product) -> None:
        rows, columns = product.w_NK.shape
        inputs = [product.node.input[0], *self.stored(product.unit, product.w_NK, self._code)]
        self.with_bias(
            product, "MatMulNBits", inputs, N=rows, K=columns, bits=4, block_size=self.block,
            accuracy_level=EXACT if product.integers else INT8_ACTIVATIONS,
        )  # fmt: skip

    def lookup(self, lookup: Lookup) -> None:
        add, ids = self.graph.add, self.flat_ids(lookup)
        codes, scales = self.stored(lookup.unit, lookup.table_VD, self._code)
        pairs = add("Gather", [codes, ids], axis=0)  # [ids, B, block / 2]
        low = add("BitwiseAnd", [pairs, self.constant(15, kind=np.uint8)])
        high = add("BitShift", [pairs, self.constant(4, kind=np.uint8)], direction="RIGHT")
        halves = [add("Unsqueeze", [each, self.constant(-1)]) for each in (low, high)]
        both = add("Reshape", [add("Concat", halves, axis=-1), self.constant(0, 0, -1)])  # [ids, B, block]
        value = add("Sub", [add("Cast", [both], to=FLOAT), self.constant(ZERO, kind=np.float32)])
        scale = add("Unsqueeze", [add("Gather", [scales, ids], axis=0), self.constant(-1)])
        rows = add("Reshape", [add("Mul", [value, scale]), self.constant(0, -1)])
        width = self.constant(lookup.table_VD.shape[1])
        self.shaped(lookup, add("Slice", [rows, self.constant(0), width, self.constant(1)]))


class _EightBits(_Writer):
    def __init__(self, graph: Surgery) -> None:
        super().__init__(graph)
        self._quantised: dict[str, list[str]] = {}  # x: its bytes, scale and zero point

    def product(self, product: Product) -> None:
        x = product.node.input[0]
        if product.integers:
            self._whole(product, x)
            return
        if x not in self._quantised:
            names = [self.graph.free(f"{x}.{each}") for each in ("bytes", "scale", "zero")]
            self.graph.add("DynamicQuantizeLinear", [x], names)
            self._quantised[x] = names
        byte, scale, zero = self._quantised[x]
        codes, scales_N = self.stored(product.unit, product.w_NK, eight_bits)
        middle = self.constant(MIDDLE, kind=np.uint8)
        whole = self.graph.add("Cast", [self.graph.add("MatMulInteger", [byte, codes, zero, middle])], to=FLOAT)
        self.with_bias(product, "Mul", [whole, self.graph.add("Mul", [scale, scales_N])])

    def _whole(self, product: Product, x: str) -> None:
        """A ternary layer's own sums of integers: nothing is rounded."""
        codes, _ = self.stored(product.unit, product.w_NK, signs)
        byte = self.graph.add("Cast", [x], to=onnx.TensorProto.INT8)
        self.with_bias(product, "Cast", [self.graph.add("MatMulInteger", [byte, codes])], to=FLOAT)

    def lookup(self, lookup: Lookup) -> None:
        add, ids = self.graph.add, self.flat_ids(lookup)
        codes, scales = self.stored(lookup.unit, lookup.table_VD, eight_bits)
        columns = add("Transpose", [add("Gather", [codes, ids], axis=1)], perm=[1, 0])  # [ids, D]
        value = add("Sub", [add("Cast", [columns], to=FLOAT), self.constant(MIDDLE, kind=np.float32)])
        scale = add("Unsqueeze", [add("Gather", [scales, ids], axis=0), self.constant(-1)])
        self.shaped(lookup, add("Mul", [value, scale]))
