"""A model's ONNX file at opset 18, from which the flavours are made: named dimensions, and modules by name.

By torch's older exporter: the newer one (dynamo) writes the same numbers, and took 30 times as long (docs/LOG.md).
"""

from __future__ import annotations

import copy
import io
import warnings
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from agentforge.edge.graph.cleaning import clean
from agentforge.edge.graph.facts import GraphFacts
from agentforge.edge.graph.foreign import EdgeForeign
from agentforge.edge.graph.titan import EdgeTitan
from agentforge.kit.errors import InvalidInput
from agentforge.models import TitanForCausalLM

OPSET = 18
_MOST = 2**31 - 1  # engines have int32


@dataclass(frozen=True)
class Exported:
    model: Any  # onnx.ModelProto
    facts: GraphFacts


def edge_module(model: Any) -> EdgeTitan | EdgeForeign:
    """A copy of the model as the function that is exported; `.facts` says what state it has."""
    vocabulary = model.config.get_text_config().vocab_size
    if vocabulary > _MOST:
        message = f"the vocabulary of {vocabulary:,} is beyond int32, which engines index with"
        raise InvalidInput(message, reason="CANNOT_EXPORT", field="vocab_size", next_step="Take a smaller one.")
    own = copy.deepcopy(model).float().eval()
    return EdgeTitan(own) if isinstance(own, TitanForCausalLM) else EdgeForeign(own)


def export(model: Any, *, bos: int | None = None, eos: int | None = None, context: int | None = None) -> Exported:
    """`context`: fewer tokens than the model could take."""
    module = edge_module(model)
    known = [each for each in (context, module.facts.context) if each is not None]
    facts = replace(module.facts, bos=bos, eos=eos, context=min(known, default=None))
    model = clean(_traced(module, facts))
    _describe(model, facts)
    return Exported(model, facts)


def _traced(module: nn.Module, facts: GraphFacts) -> Any:
    given = example(facts)
    axes = {
        name: {place: each for place, each in enumerate(shape) if isinstance(each, str)}
        for name, _, shape in (*facts.inputs(), *facts.outputs())
    }
    file: Any = io.BytesIO()  # which it takes, though it does not say so
    # An operator that it does not know stays as it is, aten::its_name: the checks behind this name its module.
    anything: Any = torch.onnx.OperatorExportTypes.ONNX_FALLTHROUGH
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, tuple(given.values()), file, dynamo=False, opset_version=OPSET, dynamic_axes=axes,
            input_names=[name for name, *_ in facts.inputs()], output_names=[name for name, *_ in facts.outputs()],
            operator_export_type=anything, do_constant_folding=False,
        )  # fmt: skip
    import onnx

    return onnx.load_model_from_string(file.getvalue())


def example(facts: GraphFacts, batch: int = 2, time: int = 3, past: int = 5, stored: int = 7) -> dict[str, Any]:
    """Arguments of the module, to be traced with."""
    sizes = {"batch": batch, "time": time, "past": past, "stored": stored}
    flat: dict[str, Tensor] = {}
    for name, kind, shape in facts.inputs():
        found = [sizes[each] if isinstance(each, str) else each for each in shape]
        zeros = torch.zeros(found, dtype=torch.int32 if kind == "int32" else torch.float32)
        flat[name] = zeros + torch.arange(past, past + time, dtype=torch.int32) if name == "position" else zeros
    return nested(facts, flat)


def nested(facts: GraphFacts, flat: dict[str, Any]) -> dict[str, Any]:
    """The module's arguments of the graph's inputs, in their order."""
    memory = facts.memory.layers if facts.memory else ()
    parts = ("key", "value", "score", "position", "momentum")
    return {
        **{name: flat[name] for name in ("input_ids", "position", "past_position")},
        "windows": [(flat[f"window.{index}.key"], flat[f"window.{index}.value"]) for index in range(facts.windows)],
        "memories": [tuple(flat[f"memory.{layer}.{part}"] for part in parts) for layer in memory],
    }


def _describe(model: Any, facts: GraphFacts) -> None:
    """Shapes of the outputs, which the exporter leaves in part unknown."""
    from onnx import TensorProto, helper

    kinds = {"int32": TensorProto.INT32, "float32": TensorProto.FLOAT}
    del model.graph.output[:]
    model.graph.output.extend(
        helper.make_tensor_value_info(name, kinds[kind], list(shape)) for name, kind, shape in facts.outputs()
    )
    model.graph.name = "agentforge"
