"""How much each weight matters to a model: the diagonal of Fisher's information, from gradients on real data.

Inverse variance of a weight over the parents, as the seeds write it, is one number for all: the plain mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from agentforge.kit.errors import InvalidInput
from agentforge.phase2_evomerge.methods.base import check_finite
from agentforge.phase2_evomerge.operators.tensors import Tensors, floats, pieces
from agentforge.train.state import own_tensors

M = TypeVar("M", bound=nn.Module)
B = TypeVar("B")


def fisher(model: M, batches: Sequence[B], loss_of: Callable[[M, B], Tensor]) -> dict[str, Tensor]:
    """Empirical Fisher diagonal, by the names of `own_tensors`: the mean over n = len(batches) of the squared
    gradient of each batch's mean loss. Buffers and weights that the loss does not touch get zeros.

    The square is taken once per batch: rows apart would cost a backward pass each. Batches of one row give the
    per-row diagonal; larger ones are as good for weighing weights against each other while gradients of rows are
    mostly noise, in which case they are the per-row one divided by the batch's size.
    """
    if not batches:
        raise InvalidInput("importance needs at least one batch", reason="NO_BATCHES", field="batches")
    training = model.training
    model.eval()
    named = {name: each for name, each in model.named_parameters() if each.requires_grad}
    squares = {name: torch.zeros_like(tensor) for name, tensor in own_tensors(model).items()}
    try:
        for batch in batches:
            with torch.enable_grad():
                loss = loss_of(model, batch).mean()
            gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
            for name, gradient in zip(named, gradients, strict=True):
                if gradient is not None:
                    check_finite(name, (gradient,), role="gradient of model")
                    squares[name].addcmul_(gradient, gradient, value=1 / len(batches))
    finally:
        model.train(training)
    return squares


def evened(importance: Tensors) -> dict[str, Tensor]:
    """Divided by its mean over all weights. Else the parent with the largest loss, whose gradients are the largest,
    would have the most to say. All zeros stay zeros."""
    sums = [
        float(tensor.reshape(-1)[here].double().sum())
        for _, tensor in floats(importance)
        for here in pieces(tensor)
    ]
    mean = math.fsum(sums) / sum(tensor.numel() for _, tensor in floats(importance))
    factor = 1 / mean if mean > 0 else 1.0
    return {name: each * factor if each.is_floating_point() else each.clone() for name, each in importance.items()}
