"""The distances between a student and its teacher."""

from __future__ import annotations

import pytest
import torch

from agentforge.phase8_compression.distil.losses import attention, feature, relation_heads, relations, response


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_gradient_is_the_closed_form(temperature: float) -> None:
    """d/dz of T² KL(p || q) is T (q - p) for each position: so one unit of alpha is worth the same at every T."""
    logits, theirs = torch.randn(2, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    logits = logits.float().requires_grad_()
    response(logits, theirs, temperature).backward()
    q, p = (torch.softmax(each.double() / temperature, -1) for each in (logits.detach(), theirs))
    assert torch.allclose(logits.grad.double(), temperature * (q - p) / 5, atol=1e-6)


def test_at_high_temperature_it_is_the_distance_of_centred_logits() -> None:
    """Hinton et al. 2015: T² KL goes to |z - v|² / 2V, whatever T is. Without T² it would go to 0."""
    ours, theirs = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0))
    ours, theirs = (each - each.mean(-1, keepdim=True) for each in (ours, theirs))
    expected = float(((ours - theirs) ** 2).sum(-1).mean() / (2 * 7))
    assert float(response(ours, theirs, 200.0)) == pytest.approx(expected, rel=0.02)


def test_what_is_the_same_has_no_distance() -> None:
    state = torch.randn(2, 6, 16, generator=torch.Generator().manual_seed(0))
    mask, asked = torch.ones(2, 6, dtype=torch.long), torch.ones(2, 6, dtype=torch.bool)
    assert float(response(state[0], state[0], 4.0)) == pytest.approx(0, abs=1e-6)
    assert float(feature(state, 3 * state)) == pytest.approx(0, abs=1e-6)
    assert float(attention(state, 3 * state, mask, asked)) == pytest.approx(0, abs=1e-6)
    other = state.flip(0)
    assert min(float(response(state[0], other[0], 4.0)), float(feature(state, other))) > 0.1
    assert float(attention(state, other, mask, asked)) > 0.1


def test_relations_are_causal_and_leave_padding_out() -> None:
    state = torch.randn(1, 5, 16, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1, 1, 0, 1]])
    found = relations(state, 2, mask).exp()
    assert torch.allclose(found.sum(-1), torch.ones(1, 5, 2))
    assert float(found[0, 1, :, 2:].abs().max()) == 0 == float(found[0, 4, :, 3].abs().max())
    assert float(found[0, 4, :, 4].min()) > 0


def test_relations_of_other_widths_compare() -> None:
    assert (relation_heads(32, 32), relation_heads(216, 256), relation_heads(7, 5)) == (4, 8, 1)
    wide, narrow = torch.randn(1, 5, 48), torch.randn(1, 5, 32)
    asked = torch.tensor([[False, True, True, False, True]])
    loss = attention(narrow.requires_grad_(), wide, torch.ones(1, 5, dtype=torch.long), asked)
    loss.backward()
    assert float(loss.detach()) > 0
    assert bool(narrow.grad.isfinite().all())
