"""Data parallelism: every rank makes the same batches, works on its own rows of each, and takes the same steps.

So the data are those of one rank, whatever their sources, and a checkpoint knows nothing of ranks: another number
of them can go on with it. Gradients are added up here, once a step, and not by DistributedDataParallel, which sees
only what passes through one forward call: losses of phases call parts of a model.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from agentforge.data.loader import Batch
from agentforge.data.rows import IGNORED
from agentforge.kit.errors import InvalidInput
from agentforge.kit.ranks import Ranks
from agentforge.kit.rng import Rng


def check_share(batch: int, ranks: Ranks) -> None:
    if batch % ranks.world:
        message = f"{batch} rows a batch cannot be shared out evenly among {ranks.world} ranks"
        step = f"Set it to a multiple of {ranks.world}, or change the number of processes."
        raise InvalidInput(message, reason="UNEVEN_BATCH", field="train.batch", next_step=step)


def own_share(batch: Batch, ranks: Ranks) -> tuple[Batch, float]:
    """This rank's rows, and which part of the batch's learned tokens they hold.

    A loss is a mean over learned tokens: weighed by that part, the ranks' losses add up to the loss of the batch.
    """
    if ranks.world == 1:
        return batch, 1.0
    size = len(batch.input_ids) // ranks.world
    rows = slice(ranks.rank * size, (ranks.rank + 1) * size)
    share = batch.rows(rows)
    return share, _learned(share) / _learned(batch)


@torch.no_grad()
def add_gradients(parameters: Iterable[nn.Parameter], ranks: Ranks) -> None:
    """The sum over all ranks, in one message. A parameter that no rank has a gradient for keeps none."""
    if ranks.world == 1:
        return
    parameters = list(parameters)
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    known = torch.tensor([float(p.grad is not None) for p in parameters], device=gradients[0].device)
    sizes = [known.numel(), *(p.numel() for p in parameters)]
    message = ranks.add_up(torch.cat([known, *(gradient.flatten().float() for gradient in gradients)]))
    counts, *sums = torch.split(message, sizes)
    for parameter, count, summed in zip(parameters, counts.tolist(), sums, strict=True):
        parameter.grad = summed.view_as(parameter).to(parameter.dtype) if count else None


def own_dice(name: str, step: int, ranks: Ranks) -> None:
    """Dropout differs from rank to rank, and depends on the step alone: a resume needs no generator's state."""
    if ranks.world > 1:
        torch.manual_seed(Rng(0, "train/rank", name, step, ranks.rank).seed)


def _learned(batch: Batch) -> int:
    """The first token of a row is never predicted."""
    return int((batch.labels[:, 1:] != IGNORED).sum())
