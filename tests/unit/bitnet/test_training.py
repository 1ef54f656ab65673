"""The loss and its schedule: by the step alone, and of the right parts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from agentforge.data.rows import IGNORED
from agentforge.models.ternary.convert import convert
from agentforge.models.ternary.linear import set_strength, ternary_layers
from agentforge.phase4_bitnet.config import LossConfig
from agentforge.phase4_bitnet.training import TernaryLoss, distillation, strength
from tests import pico


def test_strength_rises_evenly_to_one() -> None:
    assert [strength(step, 10, 0.4) for step in range(6)] == [0, 0.25, 0.5, 0.75, 1, 1]
    assert [strength(step, 10, 0.0) for step in range(2)] == [1, 1]
    assert strength(9, 10, 0.9) == 1


def test_distillation_is_the_divergence_from_the_teacher() -> None:
    ours_XV, theirs_XV = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(1))
    for temperature in (1.0, 2.0):
        p_XV, q_XV = (F.softmax(each / temperature, -1) for each in (theirs_XV, ours_XV))
        by_hand = (p_XV * (p_XV.log() - q_XV.log())).sum(-1).mean() * temperature**2
        assert float(distillation(ours_XV, theirs_XV, temperature)) == pytest.approx(float(by_hand), rel=1e-5)
    assert float(distillation(ours_XV, ours_XV, 1.0)) == pytest.approx(0, abs=1e-6)


def batch() -> dict[str, torch.Tensor]:
    ids_BT = torch.randint(20, 60, (3, 12), generator=torch.Generator().manual_seed(2))
    labels_BT = ids_BT.clone()
    labels_BT[:, :8] = IGNORED
    return {"input_ids": ids_BT, "labels": labels_BT, "attention_mask": torch.ones_like(ids_BT)}


@pytest.mark.parametrize("make", [pico.titan, pico.llama])
def test_the_loss_has_the_parts_that_are_asked_for(make: Any) -> None:
    teacher, model = make(seed=1).eval(), make(seed=2).eval()
    convert(model)
    found = {}
    for task, weight in ((1.0, 0.0), (0.0, 1.0), (2.0, 3.0)):
        loss = TernaryLoss(LossConfig(task=task, distillation=weight), teacher, lambda step: 1.0)
        found[task, weight] = loss(model, batch()).item()
    assert found[2.0, 3.0] == pytest.approx(2 * found[1.0, 0.0] + 3 * found[0.0, 1.0], rel=1e-5)
    logits_BTV, teacher_BTV = (each(**batch()).logits[:, 7:-1] for each in (model, teacher))
    by_hand = distillation(logits_BTV.flatten(0, 1), teacher_BTV.flatten(0, 1), 1.0)
    assert found[0.0, 1.0] == pytest.approx(by_hand.item(), rel=1e-4), "at learned tokens alone"
    loss = TernaryLoss(LossConfig(distillation=1.0), teacher, lambda step: 1.0)
    loss(model, batch()).backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(layer.weight.grad is not None for layer in ternary_layers(model).values())


def test_the_strength_is_that_of_the_step() -> None:
    """Whatever it was set to between two steps, as the evaluation does."""
    model, now = pico.llama(), [0]
    convert(model)
    loss = TernaryLoss(LossConfig(), None, lambda step: strength(step, 8, 0.5))
    loss.step_of = lambda: now[0]
    seen = []
    for now[0] in range(5):
        set_strength(model, 0.123)
        loss(model, batch())
        seen.append({layer.mode.strength for layer in ternary_layers(model).values()})
    assert seen == [{0.0}, {0.25}, {0.5}, {0.75}, {1.0}]


def test_at_first_it_is_the_model_as_it_came() -> None:
    teacher, model = pico.llama(), pico.llama()
    convert(model)
    loss = TernaryLoss(LossConfig(task=0.0, distillation=1.0), teacher.eval(), lambda step: 0.0)
    assert loss(model.eval(), batch()).item() == pytest.approx(0, abs=1e-6)
