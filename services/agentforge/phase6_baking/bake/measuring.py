"""What a baking did, on held-out pairs: how much of the prompt is in the weights, and what else moved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from agentforge.data.loader import batch_of
from agentforge.data.rows import IGNORED
from agentforge.kit.errors import InvalidInput
from agentforge.kit.measure import Measurement
from agentforge.models.ternary.linear import frozen
from agentforge.phase6_baking.bake.loss import beside, divergence, said_log_probabilities
from agentforge.phase6_baking.bake.pairs import Pair
from agentforge.train.evaluate import alike

_NO_EFFECT = 1e-4  # nats a token: a prompt that moves less than this has nothing to bake


@torch.no_grad()
def prompted_kl(teacher: Any, model: Any, pairs: Sequence[Pair], *, pad: int, batch: int = 64) -> float:
    """KL(teacher with the prompt || model without it) in nats, mean over learned tokens. On anchors: plain KL."""
    nats, count = 0.0, 0
    with frozen(teacher), frozen(model):
        for tensors in _batches(pairs, pad, batch, model.device):
            teacher_XV = said_log_probabilities(teacher, beside(tensors))
            nats_X = divergence(teacher_XV, said_log_probabilities(model, tensors))
            nats, count = nats + float(nats_X.double().sum()), count + len(nats_X)
    return nats / count


@torch.no_grad()
def said_nats(model: Any, pairs: Sequence[Pair], *, pad: int, batch: int = 64) -> float:
    """Cross-entropy of what is said, without the prompt: nats, mean over learned tokens."""
    nats, count = 0.0, 0
    with frozen(model):
        for tensors in _batches(pairs, pad, batch, model.device):
            labels_BT = tensors["labels"][:, 1:]
            labels_X = labels_BT[labels_BT != IGNORED]
            nats += float(
                F.nll_loss(said_log_probabilities(model, tensors), labels_X, reduction="none").double().sum()
            )
            count += len(labels_X)
    return nats / count


def kl_removed(
    teacher: Any, before: Any, after: Any, pairs: Sequence[Pair], *, pad: int, prefix: str = "baking"
) -> list[Measurement]:
    """What of the prompt is in the weights now. No share where the prompt changed nothing to begin with."""
    method = f"KL(prompted teacher || model without the prompt) in a learned token, {len(pairs):,} held-out answers"
    was, is_ = (prompted_kl(teacher, each, pairs, pad=pad) for each in (before, after))
    found = [
        Measurement(f"{prefix}/kl_before", was, "nat", method, len(pairs)),
        Measurement(f"{prefix}/kl_after", is_, "nat", method, len(pairs)),
    ]
    if was > _NO_EFFECT:
        share = f"1 - after / before of the {method}"
        found.append(Measurement(f"{prefix}/kl_removed", 1 - is_ / was, "1", share, len(pairs)))
    return found


def drift(start: Any, model: Any, pairs: Sequence[Pair], *, pad: int, prefix: str = "baking") -> list[Measurement]:
    """What moved where nothing was to: KL from the start, and how much the cross-entropy has risen, as a share."""
    _check_anchors(pairs)
    kl = prompted_kl(start, model, pairs, pad=pad)
    was, is_ = (said_nats(each, pairs, pad=pad) for each in (start, model))
    of = f"a learned token of {len(pairs):,} held-out off-task answers"
    share = f"after / before - 1 of the cross-entropy in {of}; before: {was:.4f} nats"
    return [
        Measurement(f"{prefix}/drift_kl", kl, "nat", f"KL(start || model) in {of}", len(pairs)),
        Measurement(f"{prefix}/off_task_ce", is_ / was - 1, "1", share, len(pairs)),
    ]


def selection(
    teacher: Any, model: Any, pairs: Sequence[Pair], *, pad: int, name: str = "baking"
) -> Callable[[], Measurement]:
    """For the loop's `evaluate`."""
    method = f"KL(prompted teacher || student) in a learned token, {len(pairs):,} answers of the selection split"
    return lambda: Measurement(
        f"{name}/selection_kl", prompted_kl(teacher, model, pairs, pad=pad), "nat", method, len(pairs)
    )


def _batches(pairs: Sequence[Pair], pad: int, batch: int, device: Any) -> Iterator[dict[str, Tensor]]:
    for places in alike([len(pair.prompted) + len(pair.said) for pair in pairs], batch):
        rows = [pairs[place].row() for place in places]
        yield batch_of(rows, None, pad, np.zeros(len(rows), np.int64)).torch(str(device))


def _check_anchors(pairs: Sequence[Pair]) -> None:
    if not all(pair.anchor for pair in pairs):
        message = "drift is measured where there is no prompt, and some of these pairs have one"
        raise InvalidInput(message, reason="NOT_OFF_TASK", field="pairs")
