"""TIES and DARE: worked by hand, against plain Python, and DARE's statistics."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentforge.phase2_evomerge.methods.base import Sources
from agentforge.phase2_evomerge.methods.dare import Dare, DareOptions, mask
from agentforge.phase2_evomerge.methods.ties import Ties, TiesOptions, trimmed
from tests.unit.evomerge.tensors import close, normal, same_bits, sources, vector

BASE = vector(1, 1, 1, 1, 1)
A = vector(4, -1, 2, 0.5, 0)
B = vector(-1, -3, 2, 0, 1)


def ties(**options: object) -> torch.Tensor:
    """The merged difference from the base."""
    return Ties().merge(sources(BASE + A, BASE + B, base=BASE), TiesOptions.model_validate(options)) - BASE


def test_ties_by_hand() -> None:
    close(ties(density=0.4), [4, -3, 2, 0, 0])  # each keeps its two largest
    close(ties(density=1.0), [4, -2, 2, 0.5, 1])  # of 4 and -1 only 4; zero has no sign and no part in a mean
    close(ties(density=1.0, lam=2.0), [8, -4, 4, 1, 2])
    close(ties(density=1.0, normalize=False), [4, -4, 4, 0.5, 1])
    close(ties(density=1.0, weights=(1.0, 5.0)), [-1, -16 / 6, 2, 0.5, 1])  # now -5 outweighs 4
    close(ties(density=1.0, weights=(1.0, 0.0)), A)


def test_equal_masses_elect_plus() -> None:
    parents = sources(vector(2.0), vector(-2.0), base=vector(0.0))
    close(Ties().merge(parents, TiesOptions(density=1.0)), [2.0])


def test_ties_of_differences_of_one_sign_is_their_mean() -> None:
    base, signs = normal(0, 30), normal(1, 30).sign()
    deltas = [signs * normal(seed, 30).abs() for seed in (2, 3, 4)]
    merged = Ties().merge(sources(*[base + each for each in deltas], base=base), TiesOptions(density=1.0))
    close(merged, base + sum(deltas) / 3)


@pytest.mark.parametrize(
    ("n", "density", "kept"), [(100, 0.2, 20), (7, 0.2, 1), (3, 0.2, 1), (9, 0.5, 4), (9, 1.0, 9)]
)
def test_the_kept_share_is_exact_also_among_equals(n: int, density: float, kept: int) -> None:
    assert int((trimmed(normal(0, n), density) != 0).sum()) == kept
    close(trimmed(torch.ones(n), density), [1.0] * kept + [0.0] * (n - kept))


def plain_ties(differences: list[list[int]], density: float) -> list[float]:
    kept = []
    for row in differences:
        order = sorted(range(len(row)), key=lambda i: (-abs(row[i]), i))[: max(1, int(density * len(row)))]
        kept.append([value if i in order else 0 for i, value in enumerate(row)])
    merged = []
    for column in zip(*kept, strict=True):
        winners = [v for v in column if (v > 0 if sum(column) >= 0 else v < 0)]
        merged.append(sum(winners) / len(winners) if winners else 0.0)
    return merged


@settings(max_examples=80, deadline=None)
@given(
    differences=st.integers(1, 12).flatmap(
        lambda n: st.lists(st.lists(st.integers(-4, 4), min_size=n, max_size=n), min_size=1, max_size=4)
    ),
    density=st.sampled_from([0.1, 0.2, 0.5, 0.75, 1.0]),
)
def test_ties_against_plain_python(differences: list[list[int]], density: float) -> None:
    """Small whole numbers, so that many magnitudes and masses are equal."""
    parents = [vector(*row) for row in differences]
    merged = Ties().merge(sources(*parents, base=torch.zeros_like(parents[0])), TiesOptions(density=density))
    close(merged, plain_ties(differences, density))


def test_dare_is_its_mask_and_its_factor() -> None:
    """Kept differences are exactly those of the mask, at ten times their size; the others are gone."""
    base, a, b = torch.zeros(50, 40), normal(1, 50, 40), normal(2, 50, 40)
    keep_a, keep_b = (mask(42, "w", parent, base, 0.9) for parent in (0, 1))
    merged = Dare().merge(sources(a, base=base), DareOptions())
    assert torch.equal(merged != 0, keep_a)
    close(merged, torch.where(keep_a, a * 10, 0.0), atol=1e-5)
    merged = Dare().merge(sources(a, b, base=base), DareOptions(weights=(3.0, 1.0), lam=2.0))
    close(merged, 2 * (0.75 * 10 * a * keep_a + 0.25 * 10 * b * keep_b), atol=1e-5)
    merged = Dare().merge(sources(a, b, base=base), DareOptions(weights=(3.0, 1.0), normalize=False))
    close(merged, 30 * a * keep_a + 10 * b * keep_b, atol=1e-4)


def test_dare_that_drops_nothing_by_hand() -> None:
    parents = sources(BASE + A, BASE + B, base=BASE)
    close(Dare().merge(parents, DareOptions(drop=0.0)) - BASE, (A + B) / 2)
    elected = DareOptions(drop=0.0, elect_signs=True)
    close(Dare().merge(parents, elected) - BASE, [2, -2, 2, 0.25, 0.5])  # -1 is outvoted; halves stay halves
    heavy = DareOptions(drop=0.0, elect_signs=True, weights=(1.0, 5.0), normalize=False)
    close(Dare().merge(parents, heavy) - BASE, [-5, -16, 12, 0.5, 5])


def test_dare_expects_the_difference() -> None:
    """One element's variance is δ² p/(1 - p), 9 for δ = 1: bounds: 6 standard errors, 5 for the mean of all."""
    n, seeds = 256, 400
    base, parent = torch.full((n,), 2.0), torch.full((n,), 3.0)
    draws = torch.stack(
        [Dare().merge(sources(parent, base=base, seed=seed), DareOptions()) - base for seed in range(seeds)]
    )
    error = 3 / math.sqrt(seeds)
    assert float((draws.mean(dim=0) - 1).abs().max()) < 6 * error
    assert abs(float(draws.mean()) - 1) < 5 * error / math.sqrt(n)


def test_the_share_that_a_mask_keeps() -> None:
    n = 100_000
    for drop in (0.5, 0.9):
        share = float(mask(1, "w", 0, torch.empty(n), drop).float().mean())
        assert abs(share - (1 - drop)) < 5 * math.sqrt(drop * (1 - drop) / n)
    assert bool(mask(1, "w", 0, torch.empty(n), 0.0).all())


def test_masks_are_the_same_again_and_different_for_every_parent_tensor_and_seed() -> None:
    like = torch.empty(1_000)
    keys = [(1, "a", 0), (1, "a", 1), (1, "b", 0), (2, "a", 0)]
    masks = [mask(*key, like, 0.5) for key in keys]
    assert all(torch.equal(each, mask(*key, like, 0.5)) for each, key in zip(masks, keys, strict=True))
    for i, one in enumerate(masks):
        for other in masks[:i]:  # independent: half of the places agree, 5 standard errors are 79 places
            assert abs(int((one == other).sum()) - 500) < 79


def test_dare_is_the_same_to_the_bit_whatever_was_drawn_before() -> None:
    parents = sources(normal(1, 64), normal(2, 64), base=normal(0, 64))
    first = Dare().merge(parents, DareOptions())
    torch.rand(10)
    assert same_bits(first, Dare().merge(parents, DareOptions()))


def test_dare_can_keep_the_norm_of_each_tensor() -> None:
    base = torch.zeros(1000)
    parent = torch.randn(1000, generator=torch.Generator().manual_seed(1))
    options = DareOptions(drop=0.75, rescale="norm")
    merged = Dare().merge(Sources("w", (parent,), base, 3), options)
    kept = mask(3, "w", 0, base, 0.75)
    assert 0 < int(kept.sum()) < 1000
    assert float(merged.abs().sum()) == pytest.approx(float(parent.abs().sum()), rel=1e-6)
    assert torch.equal(merged != 0, kept)


def test_dare_with_nothing_kept_or_nothing_to_keep() -> None:
    options = DareOptions(drop=0.999, rescale="norm")
    for parent in (torch.zeros(4), torch.ones(1)):
        merged = Dare().merge(Sources("w", (parent,), torch.zeros_like(parent), 3), options)
        assert bool(merged.isfinite().all())
