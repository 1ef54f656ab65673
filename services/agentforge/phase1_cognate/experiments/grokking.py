"""How many steps a network needs from the training half to the held-out half: the training of `grokfast`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from agentforge.kit.rng import Rng
from agentforge.phase1_cognate.experiments.modular import Network, Pairs, halves, network
from agentforge.train.config import GrokfastConfig, TrainConfig
from agentforge.train.grokfast import Grokfast
from agentforge.train.machine import settled

BATCH, LR, BETAS, WARMUP = 512, 1e-3, (0.9, 0.98), 10  # the paper's
LOOK_EVERY = 30  # steps between evaluations on all of the held-out half

Filter = Callable[[Mapping[str, Tensor]], None]


class Inverse:
    """gradient + lamb * (gradient - ema): the fast part amplified. What production code must not do."""

    def __init__(self, alpha: float, lamb: float) -> None:
        self.alpha, self.lamb = alpha, lamb
        self._slow: dict[str, Tensor] = {}

    @torch.no_grad()
    def __call__(self, gradients: Mapping[str, Tensor]) -> None:
        for name, gradient in gradients.items():
            slow = self._slow.setdefault(name, gradient.clone())
            slow.lerp_(gradient, 1 - self.alpha)
            gradient.mul_(1 + self.lamb).sub_(slow, alpha=self.lamb)


def learned(
    seed: int, optimiser: str, decay: float, filtered: str, steps: int, enough: float
) -> Iterator[dict[str, float]]:
    """A point every LOOK_EVERY steps, until `enough` of the held-out half is right or the steps are used up.

    `decay`: adam's is L2, added to the filtered gradient; adamw's is decoupled.
    """
    train, held_out = halves(seed)
    model = network(seed)
    parameters = dict(model.named_parameters())
    kind: Any = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimiser]
    moves = kind(parameters.values(), LR, BETAS, weight_decay=decay, fused=True)
    change = _filter(filtered)
    with settled(TrainConfig(threads=1)):
        right = seen = 0
        for step, places in zip(range(steps), _batches(seed, len(train)), strict=False):
            logits_BV, answers_B = model(train.questions[places]), train.answers[places]
            loss = F.cross_entropy(logits_BV, answers_B)
            loss.backward()  # type: ignore[no-untyped-call]
            change({name: parameter.grad for name, parameter in parameters.items() if parameter.grad is not None})
            for group in moves.param_groups:
                group["lr"] = LR * min(1.0, (step + 1) / WARMUP)
            moves.step()
            moves.zero_grad()
            right, seen = right + int((logits_BV.argmax(-1) == answers_B).sum()), seen + BATCH
            if (step + 1) % LOOK_EVERY == 0 or step + 1 == steps:
                share = accuracy(model, held_out)
                yield {
                    "step": step + 1,
                    "loss": round(loss.item(), 4),  # of this step's batch
                    "train": round(right / seen, 4),  # of the batches since the last point, before their steps
                    "held_out": round(share, 5),
                }
                right = seen = 0
                if share >= enough:
                    return


@torch.no_grad()
def accuracy(model: Network, pairs: Pairs) -> float:
    """Share of the questions answered right."""
    parts = zip(torch.split(pairs.questions, BATCH), torch.split(pairs.answers, BATCH), strict=True)
    return sum(int((model(asked).argmax(-1) == answers).sum()) for asked, answers in parts) / len(pairs)


def _filter(name: str) -> Filter:
    """The paper's settings of each."""
    if name == "inverse":
        return Inverse(alpha=0.98, lamb=2.0)
    lamb = {"none": 0.0, "ema": 2.0, "ma": 5.0}[name]
    return Grokfast(GrokfastConfig.model_validate({"filter": name, "alpha": 0.98, "lamb": lamb, "window": 100}))


def _batches(seed: int, count: int) -> Iterator[Tensor]:
    """Full batches; each epoch in an order of its own, the few that fill no batch left out."""
    epoch = 0
    while True:
        order = torch.randperm(count, generator=Rng(seed, "grokfast/order", epoch).torch())
        yield from torch.split(order[: count // BATCH * BATCH], BATCH)
        epoch += 1
