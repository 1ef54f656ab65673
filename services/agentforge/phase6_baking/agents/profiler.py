"""PerformanceProfiler: where a token's work goes, layer by layer, and what reading and speaking cost."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import torch
from torch import nn

from agentforge.kit.agents.agent import Outcome, Task
from agentforge.kit.digests import canonical_json
from agentforge.kit.measure import Measurement
from agentforge.models.ternary.linear import frozen
from agentforge.phase6_baking.agents import weights
from agentforge.phase6_baking.start import Start

_REPEATS = 5


def profile(start: Start, task: Task) -> Outcome:
    model = weights.read(task.inputs["weights"], weights.BAKED, start)
    products = _products(model)
    told = {"multiplications_per_token": sum(products.values()), "layers": products}
    (task.directory / "profile.json").write_bytes(canonical_json(told))
    prompt = len(start.codec.prompt_ids(start.prompts.whole))
    if not prompt:
        return Outcome(facts={"multiplications_per_token": told["multiplications_per_token"]})
    question = start.codec.prompt_ids("Q: 25 + 17 = A:")
    bare, behind = (_seconds(model, question, before) for before in (0, prompt))
    method = f"reading a question behind {prompt} tokens of prompt, over reading it alone; median of {_REPEATS}"
    ratio = Measurement("baking/prompt_time", behind / bare, "1", method, _REPEATS)
    return Outcome((ratio,), {"multiplications_per_token": told["multiplications_per_token"]})


@torch.no_grad()
def _products(model: Any) -> dict[str, int]:
    """Of weights and inputs in linear layers, for one token; each time that a layer is passed counts."""
    counts: dict[str, int] = {}
    hooks = []
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear):

            def count(module: nn.Linear, args: Any, made: Any, name: str = name) -> None:
                counts[name] = counts.get(name, 0) + module.in_features * module.out_features

            hooks.append(layer.register_forward_hook(count))
    with frozen(model):
        model(input_ids=torch.zeros((1, 1), dtype=torch.long, device=model.device))
    for hook in hooks:
        hook.remove()
    return counts


@torch.no_grad()
def _seconds(model: Any, question: list[int], before: int) -> float:
    ids_1T = torch.tensor([[question[0]] * before + question], device=model.device)
    found = []
    with frozen(model):
        model(input_ids=ids_1T)  # warm
        for _ in range(_REPEATS):
            began = time.perf_counter()
            model(input_ids=ids_1T)
            found.append(time.perf_counter() - began)
    return median(found)
