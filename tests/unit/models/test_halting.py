"""Graves 2016, by hand."""

import pytest
import torch

from agentforge.models.modeling_titan import act_halting

from .conftest import VOCAB, MakeTitan


def test_shares_steps_and_remainder_of_a_worked_example() -> None:
    halt = torch.tensor([[[0.1, 0.3, 0.7], [0.96, 0.5, 0.5], [0.1, 0.1, 0.1], [0.5, 0.45, 0.9]]])
    share, steps, remainder = act_halting(halt, threshold=0.95)
    expected = [[0.1, 0.3, 0.6, 0.0], [1.0, 0.0, 0.0, 0.0], [0.1, 0.1, 0.1, 0.7], [0.5, 0.5, 0.0, 0.0]]
    torch.testing.assert_close(share[0], torch.tensor(expected))
    assert steps.tolist() == [[3, 1, 4, 2]]
    torch.testing.assert_close(remainder[0], torch.tensor([0.6, 1.0, 0.7, 0.5]))


def test_the_threshold_decides_how_long_a_token_ponders() -> None:
    halt = torch.tensor([[[0.92, 0.05, 0.025]]])
    assert [act_halting(halt, threshold)[1].item() for threshold in (0.90, 0.95, 0.99)] == [1, 2, 3]


def test_gradient_of_the_ponder_cost_is_that_of_the_remainder() -> None:
    halt = torch.tensor([[[0.1, 0.3, 0.7]]], requires_grad=True)
    _, steps, remainder = act_halting(halt, threshold=0.95)
    (steps + remainder).sum().backward()  # type: ignore[no-untyped-call]
    assert halt.grad is not None
    assert halt.grad.tolist() == [[[-1.0, -1.0, 0.0]]]


@pytest.mark.parametrize("ponder_weight", [0.0, 0.1])
def test_the_halting_head_learns(make_titan: MakeTitan, ids_BT: torch.Tensor, ponder_weight: float) -> None:
    model = make_titan(ponder_weight=ponder_weight, deep_supervision=0.0).train()
    model(input_ids=ids_BT, labels=ids_BT).loss.backward()
    for parameter in model.halting.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().min() > 0


def test_the_loss_is_the_sum_of_its_parts(make_titan: MakeTitan, ids_BT: torch.Tensor) -> None:
    model = make_titan(ponder_weight=0.1, deep_supervision=0.3).train()
    out = model(input_ids=ids_BT, labels=ids_BT)
    torch.testing.assert_close(out.loss, out.ce_loss + 0.3 * out.deep_loss + 0.1 * out.ponder_cost)
    ce = torch.nn.functional.cross_entropy(out.logits[:, :-1].reshape(-1, VOCAB), ids_BT[:, 1:].reshape(-1))
    torch.testing.assert_close(out.ce_loss, ce)
    assert (out.ponder_steps >= 1).all()
    assert (out.ponder_steps <= 3).all()


def test_only_supervised_tokens_pay_for_pondering(make_titan: MakeTitan, ids_BT: torch.Tensor) -> None:
    model = make_titan()
    labels_BT = torch.full_like(ids_BT, -100)
    labels_BT[:, 25] = ids_BT[:, 25]  # answered at column 24
    cost = model(input_ids=ids_BT, labels=labels_BT).ponder_cost
    torch.testing.assert_close(cost, model(input_ids=ids_BT[:, :26], labels=labels_BT[:, :26]).ponder_cost)
    steps = model(input_ids=ids_BT).ponder_steps[:, 24].double().mean()
    assert steps < cost <= steps + 1


def test_training_takes_more_steps_than_inference(make_titan: MakeTitan, ids_BT: torch.Tensor) -> None:
    model = make_titan(act_steps_infer=2)
    assert "window.5.key" in model(ids_BT, use_cache=True).past_key_values.state
    assert "window.6.key" not in model(ids_BT, use_cache=True).past_key_values.state
    assert "window.8.key" in model.train()(ids_BT, use_cache=True).past_key_values.state
