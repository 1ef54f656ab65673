"""MemoryOptimizer: what an answer holds in memory, counted in its tensors, and how many fit at a time."""

from __future__ import annotations

import resource
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from agentforge.kit.agents.agent import Outcome, Task
from agentforge.kit.digests import canonical_json
from agentforge.kit.measure import Measurement
from agentforge.models.ternary.linear import frozen
from agentforge.phase6_baking.agents import weights
from agentforge.phase6_baking.start import Start
from agentforge.train.state import own_tensors

_SHARE = 8  # of the limit is for what answers hold; the rest for what a pass makes and drops


def optimise_memory(start: Start, task: Task) -> Outcome:
    config = start.config
    model = weights.read(task.inputs["weights"], weights.BAKED, start)
    row = _held_bytes(model, config.data.length)
    fixed = sum(tensor.numel() * tensor.element_size() for tensor in own_tensors(model).values())
    room = max(row, (config.agents.memory_mb << 20) // _SHARE - fixed)
    rows = min(config.evaluation.batch, 1 << (int(room // row).bit_length() - 1))
    told = {"weight_bytes": fixed, "row_bytes": row, "rows": rows}
    (task.directory / "memory.json").write_bytes(canonical_json(told))
    before = _peak()
    with torch.no_grad(), frozen(model):
        model(input_ids=torch.zeros((rows, config.data.length), dtype=torch.long, device=model.device))
    method = f"rise of peak resident memory in a pass of {rows} rows of {config.data.length} tokens"
    return Outcome((Measurement("baking/pass_memory", _peak() - before, "By", method, 1),), told)


@torch.no_grad()
def _held_bytes(model: Any, length: int) -> int:
    """Logits and cache of a row of that length."""
    with frozen(model):
        out = model(input_ids=torch.zeros((1, length), dtype=torch.long, device=model.device), use_cache=True)
    held = [out.logits, *(each for each in tree_leaves(_state(out)) if isinstance(each, Tensor))]
    return sum(tensor.numel() * tensor.element_size() for tensor in held)


def _state(out: Any) -> Any:
    """The cache as plain lists: Hugging Face's keeps its tensors in layers of its own."""
    layers = getattr(out.past_key_values, "layers", out.past_key_values)
    return [vars(layer) if hasattr(layer, "__dict__") else layer for layer in layers or ()]


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
