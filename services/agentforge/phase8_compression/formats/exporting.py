"""A model's forward pass as an exported program: input_ids and attention_mask [B, T] to logits [B, T, V]."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._dynamo.exc import UserError
from torch.export import Dim, ExportedProgram
from torch.fx import GraphModule

from agentforge.kit.errors import DataLoss, FailedPrecondition, InvalidInput

_MOST_ROWS = 4096
_OF_THE_SOURCE = ("stack_trace", "nn_module_stack", "source_fn_stack", "from_node", "torch_fn")


class Window(NamedTuple):
    """Tokens that the program takes, from `least` to `most`, in any number of rows."""

    least: int
    most: int


class Prefill(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        found: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits
        return found


def window(described: Mapping[str, Any], context: int) -> Window:
    """What can vary, by config.json.

    A long-term memory is written chunk by chunk in a Python loop, so its number of tokens is fixed. A sliding
    window shorter than the text has a mask, and a longer one has none: the program is of the former.
    """
    if described.get("memory"):
        return Window(context, context)
    positions = described.get("max_position_embeddings")
    most = min(context, positions) if isinstance(positions, int) and positions > 0 else context
    persistent, sliding = described.get("persistent_tokens"), described.get("sliding_window")
    least = 2 if persistent or not sliding else sliding + 1
    return Window(least, max(most, least + 1))


def export(model: Any, room: Window) -> ExportedProgram:
    """Refused, by what torch says, where it cannot be exported."""
    ids_BT = torch.zeros(2, max(room.least, min(room.most, room.least + 8)), dtype=torch.long)
    time = Dim.STATIC if room.least == room.most else Dim("time", min=room.least, max=room.most)
    sizes = {0: Dim("batch", min=1, max=_MOST_ROWS), 1: time}
    try:
        with torch.no_grad():
            made = torch.export.export(
                Prefill(model), (ids_BT, torch.ones_like(ids_BT)),
                dynamic_shapes={"input_ids": sizes, "attention_mask": sizes}, strict=False,
            )  # fmt: skip
    except (UserError, RuntimeError, NotImplementedError, TypeError, ValueError) as error:
        message = f"torch.export cannot take this {type(model).__name__}: {str(error).strip().splitlines()[0]}"
        step = "Leave the format pytorch out; huggingface holds the same weights."
        raise FailedPrecondition(
            message, reason="CANNOT_EXPORT", field="formats.pytorch", next_step=step
        ) from error
    return bare(made)


def bare(made: ExportedProgram) -> ExportedProgram:
    """Without what tells of this machine: lines of code and their paths, half of the file and more."""
    for graph in (each for each in made.graph_module.modules() if isinstance(each, GraphModule)):
        for node in graph.graph.nodes:
            for name in _OF_THE_SOURCE:
                node.meta.pop(name, None)
    return made


def load(file: Path) -> nn.Module:
    try:
        return torch.export.load(file).module()
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        message = f"{file} cannot be read: {error}"
        raise DataLoss(message, reason="BROKEN_FILE", field=str(file)) from error


def check_room(length: int, room: Window) -> None:
    if length > room.most:
        message = f"a text of {length} tokens, with its answer, does not fit into the {room.most} of the program"
        raise InvalidInput(message, reason="CONTEXT_FULL", field="context", next_step="Ask for a longer context.")
