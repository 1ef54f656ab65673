"""One exported graph for two runtimes: TensorRT 8.5 reads opset 17, onnxruntime 21."""

from __future__ import annotations

from typing import Any

from agentforge.edge.graph.export import OPSET
from agentforge.edge.graph.fusing import fuse
from agentforge.kit.errors import InvalidInput

CPU_OPSET = 21
_IR = 10  # of opset 21


def for_onnxruntime(model: Any) -> Any:
    """Fused, and under the newer opset if that means the same by each node: onnx's converter drops their names."""
    found = fuse(model)
    changed = sorted({node.op_type for node in found.graph.node if not node.domain and not _same(node)})
    if changed:
        message = f"operators that opset {CPU_OPSET} reads otherwise than opset {OPSET}: {', '.join(changed)}"
        raise InvalidInput(message, reason="CANNOT_EXPORT", field=changed[0])
    for each in found.opset_import:
        if not each.domain:
            each.version = CPU_OPSET
    found.ir_version = _IR
    return found


def _same(node: Any) -> bool:
    """The attributes and inputs that it has are there still, with the defaults that they had."""
    from onnx import defs

    old, new = (defs.get_schema(node.op_type, version) for version in (OPSET, CPU_OPSET))
    given = {each.name for each in node.attribute}
    names = [each.name for each in old.inputs] == [each.name for each in new.inputs[: len(old.inputs)]]
    kept = all(
        name in new.attributes and (name in given or new.attributes[name].default_value == told.default_value)
        for name, told in old.attributes.items()
    )
    return names and kept
