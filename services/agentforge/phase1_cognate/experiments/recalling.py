"""Training and testing on facts in noise. Shapes: B rows, F facts, T tokens of a row."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from agentforge.data.splits import Split, split_of
from agentforge.kit.rng import Rng
from agentforge.models import TitanConfig, TitanForCausalLM
from agentforge.phase1_cognate.experiments.facts import KEY, KINDS, NOISE, VALUE, Rows
from agentforge.train.config import TrainConfig
from agentforge.train.loop import model_loss
from agentforge.train.machine import settled
from agentforge.train.optim import Optimiser

_TEST_ROWS, _AT_ONCE = 512, 128


def learn(shape: TitanConfig, rows: Rows, train: TrainConfig, seed: int) -> dict[str, Any]:
    """Train from scratch; the share of right answers along the way and at the end, on held-out sets of facts."""
    torch.manual_seed(Rng(seed, "facts/start").seed)
    model = TitanForCausalLM(shape)
    test = draw(rows, _TEST_ROWS, Split.TEST, Rng(0, "facts/test").torch())  # the same for all trials
    curve: dict[str, float] = {}
    tokens = 0
    with settled(train):
        optimiser = Optimiser(model, train)
        for step in range(train.steps):
            row_BT, label_BT = draw(rows, train.batch, Split.TRAIN, Rng(seed, "facts/train", step).torch())
            tokens += row_BT.numel()
            model_loss(model, {"input_ids": row_BT, "labels": label_BT}).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), train.clip)
            optimiser.step(step)
            optimiser.zero()
            if (step + 1) % train.evaluate_every == 0:
                curve[str(step + 1)] = accuracy(model, *test)
        end = accuracy(model, *test)
    return {"parameters": model.num_parameters(), "tokens": tokens, "accuracy": end, "curve": curve}


def draw(rows: Rows, count: int, split: Split, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rows and labels, (B, T) each; only sets of facts whose hash says that they belong to the split."""
    fact_BFP = torch.stack(_facts(rows.facts, count, split, generator), -1)
    context_BT = torch.randint(NOISE, NOISE + KINDS, (count, rows.context), generator=generator)
    place_BF = torch.arange(rows.facts).expand(count, -1)
    if rows.scattered:
        place_BF = torch.rand(count, rows.context // 2, generator=generator).argsort(1)[:, : rows.facts]
    context_BT.view(count, -1, 2).scatter_(1, place_BF[..., None].expand(-1, -1, 2), fact_BFP)
    order_BF = torch.rand(count, rows.facts, generator=generator).argsort(1)
    asked_BT = fact_BFP.gather(1, order_BF[..., None].expand(-1, -1, 2)).flatten(1)
    row_BT = torch.cat((context_BT, asked_BT), 1)
    label_BT = torch.full_like(row_BT, -100)
    label_BT[:, rows.context + 1 :: 2] = asked_BT[:, 1::2]
    return row_BT, label_BT


def _facts(facts: int, count: int, split: Split, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Keys and values, (B, F) each; no key twice in a row."""
    found: list[tuple[Tensor, Tensor]] = []
    while len(found) < count:
        key_BF = torch.rand(count, KINDS, generator=generator).argsort(1)[:, :facts] + KEY
        value_BF = torch.randint(VALUE, VALUE + KINDS, (count, facts), generator=generator)
        drawn = zip(key_BF, value_BF, strict=True)
        found += [(key_F, value_F) for key_F, value_F in drawn if split_of(canonical(key_F, value_F)) is split]
    keys, values = zip(*found[:count], strict=True)
    return torch.stack(keys), torch.stack(values)


def canonical(key_F: Tensor, value_F: Tensor) -> str:
    """A set of facts, whatever order they come in."""
    facts = sorted(zip(key_F.tolist(), value_F.tolist(), strict=True))
    return "facts " + " ".join(f"{key}:{value}" for key, value in facts)


@torch.no_grad()
def accuracy(model: TitanForCausalLM, row_BT: Tensor, label_BT: Tensor) -> float:
    """Share of the questions answered right."""
    model.eval()  # type: ignore[no-untyped-call]
    right = asked = 0
    for start in range(0, len(row_BT), _AT_ONCE):
        part_BT, target_BT = row_BT[start : start + _AT_ONCE], label_BT[start : start + _AT_ONCE, 1:]
        said_BT = model(input_ids=part_BT).logits[:, :-1].argmax(-1)
        right += int((said_BT == target_BT).sum())
        asked += int((target_BT >= 0).sum())
    model.train()
    return right / asked
