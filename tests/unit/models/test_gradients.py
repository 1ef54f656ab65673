"""Gradient reaches every parameter, is right in the pieces of our own, and every switch builds and runs."""

from typing import Any

import pytest
import torch

from agentforge.models.memory_titan import momentum_scan
from agentforge.models.modeling_titan import act_halting, rotate

from .conftest import PLAIN, MakeTitan

SWITCHES: list[dict[str, Any]] = [
    {},
    PLAIN,
    {"memory": False},
    {"memory_momentum": False},
    {"memory_decay": False},
    {"memory_slots": 8},
    {"memory_write": "fifo", "memory_slots": 8},
    {"memory_write": "random", "memory_slots": 8},
    {"act": False},
    {"recursion": False},
    {"act": False, "recursion": False},
    {"recursion_inner": 3},
    {"deep_supervision": 0.0},
    {"ponder_weight": 0.0},
    {"persistent_tokens": 0},
    {"sliding_window": None},
]


@pytest.mark.parametrize("switch", SWITCHES, ids=str)
def test_gradient_reaches_every_parameter(
    make_titan: MakeTitan, ids_BT: torch.Tensor, switch: dict[str, Any]
) -> None:
    model = make_titan(**switch).train()
    model(input_ids=ids_BT, labels=ids_BT).loss.backward()
    dead = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert dead == []


def test_gradient_reaches_every_single_number(make_titan: MakeTitan, ids_BT: torch.Tensor) -> None:
    model = make_titan().train()
    model(input_ids=ids_BT, labels=ids_BT).loss.backward()
    dead = {name: int((p.grad == 0).sum()) for name, p in model.named_parameters() if (p.grad == 0).any()}
    assert dead == {}


def test_only_the_last_cycle_of_a_step_learns(make_titan: MakeTitan, ids_BT: torch.Tensor) -> None:
    model = make_titan(recursion_cycles=3, recursion_inner=2, act_steps_train=2, act_steps_infer=2).train()
    model(input_ids=ids_BT, labels=ids_BT).loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_the_whole_model_passes_gradcheck(make_titan: MakeTitan) -> None:
    """In its inputs, through halting and recursion. Memory is off: its surprise and novelty count as given."""
    model = make_titan(memory=False, deep_supervision=0.1).train()
    ids_BT = torch.arange(1, 6)[None]

    def loss(embeds_BTD: torch.Tensor) -> torch.Tensor:
        out = model(inputs_embeds=embeds_BTD, labels=ids_BT)
        assert out.loss is not None
        return out.loss

    embeds_BTD = model.embed_tokens(ids_BT).detach().mul(50).requires_grad_()
    assert torch.autograd.gradcheck(loss, (embeds_BTD,))


def test_halting_passes_gradcheck() -> None:
    halt = torch.rand(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 0.4
    assert torch.autograd.gradcheck(
        lambda h: (lambda share, _, remainder: (share, remainder))(*act_halting(h, 0.95)), (halt.requires_grad_(),)
    )


def test_momentum_is_the_recurrence_and_passes_gradcheck() -> None:
    generator = torch.Generator().manual_seed(0)
    keep, new = (torch.rand(2, 7, dtype=torch.float64, generator=generator) for _ in range(2))
    start = torch.rand(2, dtype=torch.float64, generator=generator)
    expected, carried = [], start
    for t in range(7):
        carried = keep[:, t] * carried + new[:, t]
        expected.append(carried)
    torch.testing.assert_close(momentum_scan(keep, new, start), torch.stack(expected, 1))
    inputs = tuple(tensor.requires_grad_() for tensor in (keep, new, start))
    assert torch.autograd.gradcheck(momentum_scan, inputs)


def test_rotation_depends_on_distance_alone_and_passes_gradcheck() -> None:
    query, key = torch.randn(2, 1, 1, 1, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    frequency = torch.tensor([1.0, 0.3, 0.1, 0.03], dtype=torch.float64)

    def dot(i: int, j: int) -> torch.Tensor:
        return (rotate(query, (i * frequency).cos(), (i * frequency).sin()) * rotate(
            key, (j * frequency).cos(), (j * frequency).sin()
        )).sum()  # fmt: skip

    torch.testing.assert_close(dot(9, 4), dot(25, 20))
    assert torch.autograd.gradcheck(
        lambda x: rotate(x, frequency.cos(), frequency.sin()), (query.requires_grad_(),)
    )
