"""The loss is the KL it is named after, of the target it is to have, and teaches nobody but the student."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.loader import batch_of
from agentforge.data.rows import IGNORED, ItemRows
from agentforge.data.splits import Split
from agentforge.kit.errors import FailedPrecondition
from agentforge.models.ternary.convert import convert
from agentforge.phase6_baking.bake.loss import BakeLoss
from agentforge.phase6_baking.bake.pairs import Pair, item_pair
from agentforge.phase6_baking.configs.bake import BakeConfig
from tests import pico


def codec() -> Codec:
    return Codec(pico.tokenizer())


def model(kind: str, seed: int = 0) -> Any:
    made = (
        pico.titan(seed, sliding_window=128) if kind != "llama" else pico.llama(seed, max_position_embeddings=128)
    )
    if kind == "ternary":
        convert(made)
    return pico.with_noise(made, seed, 0.5).eval()


def pairs(count: int = 3) -> list[Pair]:
    families = ("persona", "tool_calculator", "recall")
    return [item_pair(item, codec()) for f in families for item in ItemStream(f, Split.TRAIN, 0).distinct(count)]


def config(**fields: Any) -> BakeConfig:
    return BakeConfig(**fields)


def batch() -> dict[str, torch.Tensor]:
    rows = [pair.row() for pair in pairs()]
    return batch_of(rows, None, codec().pad, torch.zeros(len(rows), dtype=torch.long).numpy()).torch()


@torch.no_grad()
def naive(of: Any, pair: Pair, before: list[int]) -> torch.Tensor:
    """One row by itself, without padding."""
    logits = of(input_ids=torch.tensor([before + pair.said])).logits[0]
    places = [len(before) + n - 1 for n, own in enumerate(pair.learned) if own]
    found: torch.Tensor = F.log_softmax(logits[places].float(), -1)
    return found


@pytest.mark.parametrize("kind", ["llama", "titan", "ternary"])
@pytest.mark.parametrize("strength", [1.0, 0.3])
def test_forward_and_reverse_are_kl_to_the_mix(kind: str, strength: float) -> None:
    teacher, student = model(kind, 1), model(kind, 2)
    p = torch.cat([naive(teacher, pair, pair.prompted) for pair in pairs()])
    bare = torch.cat([naive(teacher, pair, pair.bare) for pair in pairs()])
    mix = (p.exp() ** strength * bare.exp() ** (1 - strength)).double()
    mix = (mix / mix.sum(-1, keepdim=True)).log()
    q = torch.cat([naive(student, pair, pair.bare) for pair in pairs()]).double()
    wanted = {
        "forward": (mix.exp() * (mix - q)).sum(-1).mean(),
        "reverse": (q.exp() * (q - mix)).sum(-1).mean(),
    }
    for name, value in wanted.items():
        loss = BakeLoss(teacher, config(kind=name, strength=strength))(student, batch())
        assert float(loss.detach()) == pytest.approx(float(value), rel=1e-4)


def test_monte_carlo_is_the_cross_entropy_of_what_was_said() -> None:
    student = model("titan", 2)
    said = torch.cat([naive(student, pair, pair.bare) for pair in pairs()])
    tokens = torch.tensor([t for pair in pairs() for t, own in zip(pair.said, pair.learned, strict=True) if own])
    loss = BakeLoss(model("titan", 1), BakeConfig(kind="monte_carlo"))(student, batch())
    assert float(loss.detach()) == pytest.approx(float(F.nll_loss(said, tokens)), rel=1e-4)


@pytest.mark.parametrize("kind", ["titan", "ternary"])
def test_only_the_student_learns_and_codes_are_those_of_now(kind: str) -> None:
    teacher, student = model(kind, 1), model(kind, 2)
    before = copy.deepcopy(teacher.state_dict())
    loss = BakeLoss(teacher, BakeConfig(strength=0.5))
    student.train()
    first = loss(student, batch())
    first.backward()  # type: ignore[no-untyped-call]
    assert student.training
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
    assert sum(float(p.grad.abs().sum()) for p in student.parameters() if p.grad is not None) > 0
    with torch.no_grad():
        for p in student.parameters():
            if p.grad is not None:
                p -= 0.3 * p.grad
    assert float(loss(student, batch()).detach()) < float(first.detach())
    assert all(torch.equal(before[name], tensor) for name, tensor in teacher.state_dict().items())


def test_a_student_that_is_the_teacher_has_nothing_to_learn_of_anchors() -> None:
    teacher = model("titan", 1)
    rows = [pair.row() for pair in pairs() if pair.anchor]
    tensors = batch_of(rows, None, codec().pad, torch.zeros(len(rows), dtype=torch.long).numpy()).torch()
    for kind in ("forward", "reverse"):
        loss = BakeLoss(copy.deepcopy(teacher), config(kind=kind))(teacher, tensors)
        assert float(loss.detach()) == pytest.approx(0, abs=1e-6)


def test_strength_rises_and_goes_on_from_a_checkpoint() -> None:
    loss = BakeLoss(model("llama"), BakeConfig(strength=0.8, schedule="linear"), steps=4)
    seen = []
    for step in range(4):
        seen.append(loss.strength)
        loss.after_step(step, 1.0)
    assert seen == pytest.approx([0.2, 0.4, 0.6, 0.8])
    other = BakeLoss(model("llama"), BakeConfig(strength=0.8, schedule="linear"), steps=4)
    loss.after_step(1, 1.0)
    other.load_state_dict(loss.state_dict())
    assert other.strength == pytest.approx(0.6)


def test_rows_without_one_beside_them_are_refused() -> None:
    source = ItemRows(ItemStream("copy", Split.TRAIN, 0), codec(), 48)
    rows = [source.row(number) for number in range(2)]
    tensors = batch_of(rows, None, codec().pad, torch.zeros(2, dtype=torch.long).numpy()).torch()
    assert int((tensors["labels"] != IGNORED).sum()) > 0
    with pytest.raises(FailedPrecondition) as found:
        BakeLoss(model("titan"), BakeConfig())(model("titan"), tensors)
    assert found.value.reason == "NO_PAIR"


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "monte_carlo", "strength": 0.5},
        {"kind": "monte_carlo", "schedule": "linear"},
        {"kind": "monte_carlo", "samples": "student"},
        {"strength": 1.5},
        {"rounds": 0},
    ],
)
def test_what_cannot_be_baked_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        BakeConfig(**fields)
