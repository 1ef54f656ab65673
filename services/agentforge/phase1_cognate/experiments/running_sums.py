"""Running sums modulo 10, and the training of a small Titan on them, for `halting`.

A row is six digits; after each from the second on, the sum so far is asked for. Order does not matter to a sum, so
all orders of the same digits are in one split, and only sums of the split are asked for. B rows, T digits.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from agentforge.data.splits import Split, split_of
from agentforge.kit.rng import Rng
from agentforge.models import TitanConfig, TitanForCausalLM
from agentforge.train.config import TrainConfig
from agentforge.train.machine import settled
from agentforge.train.optim import Optimiser

MODULUS, TERMS = 10, 6
BATCH, TEST_ROWS = 64, 2_000
PRICE = 0.03  # nats a step, once it has risen
RISE = 0.2  # share of training in which it rises
LOOK_EVERY = 100
TRAIN = TrainConfig(steps=1_500, batch=BATCH, lr=3e-3, muon_lr=0.02, threads=1)


def learn(steps: int, free: float, seed: int) -> dict[str, Any]:
    """Train from scratch with so many steps, free of charge for the first share of training; then ask held-out sums
    with every limit on the steps."""
    with settled(TRAIN):
        torch.manual_seed(Rng(seed, "sums/start").seed)
        model = _model(steps)
        gradients = _train(model, free, seed)
        return {
            "parameters": model.num_parameters(),
            "halting_gradient": gradients,
            "by_limit": {str(limit): _ask(model, limit) for limit in range(1, steps + 1)},
        }


def draw(count: int, split: Split, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Digits (B, T + 1), the last column only there to carry a label, and labels, one column behind their digit."""
    digit_BT = torch.randint(MODULUS, (count, TERMS), generator=generator)
    label_BT = torch.full((count, TERMS + 1), -100)
    total_BT = digit_BT.cumsum(1) % MODULUS
    for row, digits in enumerate(digit_BT.tolist()):
        for terms in range(2, TERMS + 1):
            if _split(tuple(sorted(digits[:terms]))) is split:
                label_BT[row, terms] = total_BT[row, terms - 1]
    return nn.functional.pad(digit_BT, (0, 1)), label_BT


@functools.cache
def _split(digits: tuple[int, ...]) -> Split:
    return split_of(f"{' + '.join(map(str, digits))} mod {MODULUS}")


def _model(steps: int) -> TitanForCausalLM:
    shape = TitanConfig.preset(
        "tiny", vocab_size=MODULUS, hidden_size=64, intermediate_size=160, num_hidden_layers=1, memory=False,
        persistent_tokens=0, act_steps_train=steps, act_steps_infer=steps, deep_supervision=0.2, rope_theta=100.0,
    )  # fmt: skip
    model = TitanForCausalLM(shape)
    nn.init.normal_(model.embed_tokens.weight, std=0.5)  # ten far-apart digits, not the start of a large vocabulary
    return model


def _train(model: TitanForCausalLM, free: float, seed: int) -> dict[str, float]:
    """Returns, by update, the norm of the gradient that the answer's loss alone sends to the halting head."""
    optimiser, gradients = Optimiser(model, TRAIN), {}
    for step in range(TRAIN.steps):
        risen = ((step + 1) / TRAIN.steps - free) / RISE
        model.config.ponder_weight = PRICE * min(1.0, max(0.0, risen))
        digit_BT, label_BT = draw(BATCH, Split.TRAIN, Rng(seed, "sums/train", step).torch())
        output = model(input_ids=digit_BT, labels=label_BT, logits_to_keep=1)
        assert output.loss is not None
        assert output.ce_loss is not None
        if model.halting is not None and step % LOOK_EVERY == 0:
            head = list(model.halting.parameters())
            parts = torch.autograd.grad(output.ce_loss, head, retain_graph=True)
            gradients[str(step)] = float(torch.stack([part.norm() for part in parts]).norm())
        output.loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), TRAIN.clip)
        optimiser.step(step)
        optimiser.zero()
    return gradients


@torch.no_grad()
def _ask(model: TitanForCausalLM, limit: int) -> dict[str, Any]:
    """Percent right and mean steps before halting, by terms; their rank correlation; FLOPs of the forward pass."""
    digit_BT, label_BT = draw(TEST_ROWS, Split.TEST, Rng(0, "sums/test").torch())
    model.config.act_steps_infer = limit
    model.eval()  # type: ignore[no-untyped-call]
    # The counter does not know the CPU's fused attention: here it is taken apart.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        output = model(input_ids=digit_BT)
    assert output.logits is not None
    assert output.ponder_steps is not None
    asked_BT = label_BT[:, 1:] >= 0
    right_M = (output.logits[:, :-1].argmax(-1) == label_BT[:, 1:])[asked_BT].double()
    steps_M = output.ponder_steps[:, :-1][asked_BT].double()
    terms_M = torch.arange(1, TERMS + 1).expand(len(digit_BT), -1)[asked_BT]
    kinds = range(2, TERMS + 1)
    return {
        "asked": len(right_M),
        "right": 100 * float(right_M.mean()),
        "right_by_terms": {str(terms): 100 * float(right_M[terms_M == terms].mean()) for terms in kinds},
        "steps_by_terms": {str(terms): float(steps_M[terms_M == terms].mean()) for terms in kinds},
        "correlation": _rank_correlation(terms_M, steps_M),
        "flops": int(counter.get_total_flops()),
    }


def _rank_correlation(one_M: Tensor, other_M: Tensor) -> float | None:
    """Spearman's, equal values at their mean rank; of a constant there is none."""
    if (other_M == other_M[0]).all():
        return None
    return float(torch.corrcoef(torch.stack((_ranks(one_M), _ranks(other_M))))[0, 1])


def _ranks(values_M: Tensor) -> Tensor:
    below_M = (values_M[:, None] > values_M).sum(1)
    alike_M = (values_M[:, None] == values_M).sum(1)
    return below_M.double() + (alike_M + 1) / 2
