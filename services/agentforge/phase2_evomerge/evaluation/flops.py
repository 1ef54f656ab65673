"""What a model costs: FLOPs and bytes, counted. They are the same on every machine, so selection may use them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from agentforge.models import TitanForCausalLM
from agentforge.train.state import own_tensors


@dataclass(frozen=True, slots=True)
class FlopCost:
    """FLOPs of one token, by the ponder steps it takes. `steps`: the most it can take."""

    first: float  # with one step: everything that happens once, too
    further: float  # each step more
    steps: int

    def per_token(self, steps: float) -> float:
        return self.first + (steps - 1) * self.further


def flop_cost(model: nn.Module, *, length: int) -> FlopCost:
    """Of matrix products (two FLOPs for a multiplication with its addition) in a forward of `length` tokens.

    A pondering Titan is counted at one step and at the most; what lies between is a straight line but for the few
    products of Graves' mean (a test counts it). It computes all its steps for every token, so the figure at the
    measured mean is what a runtime that stops with the token spends, as the halting head allows.
    """
    most = _most_steps(model)
    first = _counted(model, length, 1)
    further = (_counted(model, length, most) - first) / (most - 1) if most > 1 else 0.0
    return FlopCost(first / length, further / length, most)


def model_bytes(tensors: Mapping[str, Tensor]) -> int:
    """Of weights as train.state.own_tensors names them: tied ones once."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def _most_steps(model: nn.Module) -> int:
    if not isinstance(model, TitanForCausalLM) or model.halting is None:
        return 1
    most: int = model.config.act_steps_infer
    return most


@torch.no_grad()
def _counted(model: nn.Module, length: int, steps: int) -> int:
    """The counter does not know the fused attention of CPUs; as plain products attention counts everywhere. It
    looks for the graph of what wants a gradient, so the tensors are lent without."""
    model.eval()
    ids_BT = torch.zeros(1, length, dtype=torch.int64, device=next(model.parameters()).device)
    with _forced(model, steps), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        functional_call(model, own_tensors(model), (), {"input_ids": ids_BT})
    total: int = counter.get_total_flops()
    return total


@contextmanager
def _forced(model: nn.Module, steps: int) -> Iterator[None]:
    if _most_steps(model) == 1:
        yield
        return
    config: Any = model.config
    before, config.act_steps_infer = config.act_steps_infer, steps
    try:
        yield
    finally:
        config.act_steps_infer = before
