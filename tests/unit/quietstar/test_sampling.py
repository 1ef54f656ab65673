"""Drawing tokens: the nucleus by its definition, and numbers that belong to their place."""

from __future__ import annotations

import math

import pytest
import torch

from agentforge.kit.errors import InvalidInput
from agentforge.models.thoughts.sampling import TRIES, Draws, Sampling, draw, policy

LOGITS_V = torch.tensor([1.0, -2.0, 3.0, 0.5, 2.5, -1.0, 0.0, 2.0], dtype=torch.float64)


def nucleus(probability_V: torch.Tensor, top_p: float) -> torch.Tensor:
    kept = [float(p) if float(probability_V[probability_V > p].sum()) < top_p else 0.0 for p in probability_V]
    return torch.tensor(kept) / math.fsum(kept)


@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.9, 1.0])
def test_frequencies_are_the_nucleus_renormalised(top_p: float) -> None:
    """At 0.05 four draws in ten fail every try, so the exact cut is met too."""
    times = 40_000
    uniform_XU = torch.rand(times, TRIES + 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    tokens_X = draw(LOGITS_V.expand(times, -1), uniform_XU, 4, Sampling(top_p=top_p))
    found_V = tokens_X.bincount(minlength=8) / times
    wanted_V = nucleus(policy(LOGITS_V, 4, 1.0).softmax(0), top_p)
    assert torch.equal(found_V > 0, wanted_V > 0)
    spread_V = (wanted_V * (1 - wanted_V) / times).sqrt()
    assert bool(((found_V - wanted_V).abs() <= 4.5 * spread_V).all())


def test_the_exact_cut_and_the_edges_of_the_unit_interval() -> None:
    last = torch.tensor([[0.9999999999999999] * (TRIES + 1), [0.0] * (TRIES + 1)], dtype=torch.float64)
    for dtype in (torch.float64, torch.float32):
        assert draw(LOGITS_V.to(dtype).expand(2, -1), last, 4, Sampling(top_p=1.0)).tolist() == [7, 0]
        assert draw(LOGITS_V.to(dtype).expand(2, -1), last, 4, Sampling(top_p=1e-9)).tolist() == [
            2,
            2,
        ]  # its likeliest alone


def test_temperature_and_the_banned_start() -> None:
    warm_V = policy(LOGITS_V, start=2, temperature=2.0)
    assert warm_V[2] == -math.inf
    others = [0, 1, 3, 4, 5, 6, 7]
    assert torch.equal(warm_V[others], LOGITS_V[others] / 2)


def test_draws_belong_to_row_position_thought_and_step() -> None:
    places_BP = torch.tensor([[0, 4], [4, 9]])
    many = Draws(1).uniform(places_BP, Sampling(thoughts=3, length=5))
    few = Draws(1, rows=[1]).uniform(torch.tensor([[9]]), Sampling(thoughts=2, length=4))
    assert torch.equal(few[0, 0], many[1, 1, :2, :4])
    assert many.unique().numel() == many.numel()
    assert bool(((many >= 0) & (many < 1)).all())
    for other in (Draws(2), Draws(1, (1,)), Draws(1, ("step", 1))):
        assert not torch.equal(other.uniform(places_BP, Sampling(thoughts=3, length=5)), many)


@pytest.mark.parametrize(
    ("field", "value"),
    [("thoughts", 0), ("thoughts", 17), ("length", 0), ("length", 65), ("top_p", 0.0), ("top_p", 1.1),
     ("temperature", 0.0), ("temperature", float("nan"))],
)  # fmt: skip
def test_bad_settings_name_their_field(field: str, value: float) -> None:
    with pytest.raises(InvalidInput) as caught:
        Sampling(**{field: value})  # type: ignore[arg-type]
    assert (caught.value.reason, caught.value.field) == ("OUT_OF_RANGE", field)


def test_every_place_has_numbers_of_its_own() -> None:
    """Else all thoughts of a row were one thought."""
    drawn = Draws(1).uniform(torch.tensor([[3, 9], [3, 9]]), Sampling(thoughts=2, length=4)).flatten(0, 2)
    assert len({tuple(each.flatten().tolist()) for each in drawn}) == 8


@pytest.mark.parametrize("size", [40, 200, 400, 450, 601])
def test_drawn_is_the_first_token_whose_running_total_exceeds_its_share(size: int) -> None:
    """Through blocks of tokens as by one running total, whether or not the blocks come out even."""
    generator = torch.Generator().manual_seed(size)
    logits_XV = torch.randn(500, size, generator=generator, dtype=torch.float64)
    uniform_XU = torch.rand(500, TRIES + 1, generator=generator, dtype=torch.float64)
    found_X = draw(logits_XV, uniform_XU, 4, Sampling(top_p=1.0))
    total_XV = policy(logits_XV, 4, 1.0).softmax(-1).cumsum(1)
    assert torch.equal(found_X, (total_XV <= uniform_XU[:, :1]).sum(1))
    last_XU = torch.full_like(uniform_XU, 1 - 2**-53)
    assert bool((draw(logits_XV.float(), last_XU, size - 1, Sampling(top_p=1.0)) == size - 2).all())


def test_half_precision_reaches_every_token() -> None:
    """Running totals of 8 bits would give most of a thousand equal tokens none of the interval."""
    uniform_XU = (torch.arange(1000, dtype=torch.float64)[:, None] + 0.5).expand(-1, TRIES + 1) / 1000
    flat_XV = torch.zeros(1000, 1001, dtype=torch.bfloat16)
    assert draw(flat_XV, uniform_XU, 1000, Sampling(top_p=1.0)).tolist() == list(range(1000))
