"""Codes and scales are the paper's, to the bit, and survive what is zero, tiny, huge or not a number."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from agentforge.models.ternary.quantise import (
    Scale,
    absmax_int8,
    absmean,
    codes,
    per_weight,
    survivors,
    ternary_already,
)

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 7))  # rows, groups, group
KINDS = st.sampled_from(["tensor", "channel", "group"])


def normal(*shape: int, seed: int = 0, size: float = 1.0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * size


def half(mean: Tensor) -> Tensor:
    return mean.float().half().float()


@given(SHAPES, st.integers(0, 99), st.sampled_from([1e-3, 1.0, 1e3]))
def test_half_is_the_papers_rounding(shape: tuple[int, int, int], seed: int, size: float) -> None:
    w_OI = normal(shape[0], shape[1] * shape[2], seed=seed, size=size)
    gamma = half(w_OI.abs().double().mean())
    assert torch.equal(absmean(w_OI, "tensor"), gamma.view(1, 1))
    assert torch.equal(codes(w_OI, gamma), (w_OI / gamma).round().clamp(-1, 1).to(torch.int8))


@given(SHAPES, KINDS, st.integers(0, 99), st.sampled_from([1e-45, 1e-30, 1e-7, 1e-4, 0.02, 1.0, 1e3]))
def test_scales_are_normal_halves(shape: tuple[int, int, int], scale: Scale, seed: int, size: float) -> None:
    w_OI = normal(shape[0], shape[1] * shape[2], seed=seed, size=size)
    if ternary_already(w_OI, shape[2]) is not None:  # 1e-45 is the smallest there is
        return
    for found in (absmean(w_OI, scale, shape[2]), survivors(w_OI, scale, shape[2])[1]):
        assert found.dtype == torch.float32
        assert torch.equal(half(found), found)
        assert (found >= 2**-14).all()


def test_weights_far_below_a_half_are_zeros_and_do_not_grow() -> None:
    w_OI = torch.cat([normal(1, 64, size=1e-7), normal(1, 64)])
    for code_OI in (codes(w_OI, absmean(w_OI, "channel")), survivors(w_OI, "channel")[0]):
        assert not code_OI[0].any()
        assert code_OI[1].any()


def test_what_no_half_holds_is_neither_cut_nor_hidden() -> None:
    for size in (1e6, 3e37):
        w_OI = normal(4, 8, size=size)
        s = w_OI.abs().double().mean().float()
        assert torch.equal(absmean(w_OI, "tensor"), s.view(1, 1))
        assert survivors(w_OI, "tensor")[1] > s
    for bad in (float("nan"), float("inf")):
        w_OI = normal(4, 8).index_fill(1, torch.tensor([3]), bad)
        assert not absmean(w_OI, "channel").isfinite().any()
        assert not survivors(w_OI, "tensor")[1].isfinite().any()


def test_the_boundary_rounds_to_even_as_the_paper_does() -> None:
    w_OI = torch.tensor([[0.5, -0.5, 1.5, -1.5, 0.50001, 0.0]])
    assert codes(w_OI, torch.tensor(1.0)).tolist() == [[0, 0, 1, -1, 1, 0]]


@given(SHAPES, KINDS)
def test_each_scale_is_the_mean_over_those_that_share_it(shape: tuple[int, int, int], scale: Scale) -> None:
    rows, groups, group = shape
    w_OI = normal(rows, groups * group)
    wide_OI = per_weight(absmean(w_OI, scale, group), groups * group).expand_as(w_OI)
    for o in range(rows):
        for i in range(groups * group):
            start = i // group * group
            own = {"tensor": w_OI, "channel": w_OI[o], "group": w_OI[o, start : start + group]}[scale]
            assert wide_OI[o, i] == half(own.abs().double().mean())


@given(st.floats(0, 3), st.floats(0, 3))
def test_a_higher_threshold_keeps_fewer(first: float, second: float) -> None:
    w_OI = normal(8, 32)
    kept = [codes(w_OI, absmean(w_OI, "tensor"), each) for each in sorted((first, second))]
    assert not (kept[1].bool() & ~kept[0].bool()).any()


def test_zeros_have_scale_one_and_codes_zero() -> None:
    w_OI = torch.tensor([[0.0, 0, 0, 0], [1, -1, 0, 0]])
    assert absmean(w_OI, "channel").tolist() == [[1], [0.5]]
    assert absmean(w_OI, "group", 2).tolist() == [[1, 1], [1, 1]]
    assert survivors(w_OI, "channel")[1].tolist() == [[1], [1]]
    assert codes(w_OI, absmean(w_OI, "channel")).tolist() == [[0, 0, 0, 0], [1, -1, 0, 0]]


def test_absmean_is_not_idempotent_and_the_survivors_are() -> None:
    w_OI = normal(64, 64)
    s = absmean(w_OI, "tensor")
    code_OI = codes(w_OI, s)
    shrunk = float(absmean(code_OI * s, "tensor") / s)
    assert shrunk == pytest.approx(0.69, abs=0.02)  # NOTES-SCIENCE, point 4
    again_OI, again = survivors(code_OI * s, "tensor")
    assert torch.equal(again, s)
    assert torch.equal(again_OI, code_OI)


@given(SHAPES, KINDS, st.integers(0, 99), st.sampled_from([1e-30, 1e-6, 0.02, 1.0, 1e6]))
def test_ternary_weights_are_recognised_and_kept(
    shape: tuple[int, int, int], scale: Scale, seed: int, size: float
) -> None:
    """Of any size, also where it is no half."""
    rows, groups, group = shape
    w_OI = normal(rows, groups * group, seed=seed)
    s = absmean(w_OI, scale, group)
    made_OI = codes(w_OI, per_weight(s, w_OI.shape[1])) * per_weight(s * size, w_OI.shape[1])
    found = ternary_already(made_OI, group)
    if found is None:  # only where there is too little to tell
        assert made_OI.count_nonzero() <= rows * groups
        return
    code_OI, again = survivors(made_OI, *found)
    assert torch.equal(code_OI * per_weight(again, w_OI.shape[1]), made_OI)


def test_a_half_is_taken_as_soon_as_ternary_weights_learn() -> None:
    w_OI = normal(8, 8).sign() * 0.1
    assert survivors(w_OI, "tensor")[1] == torch.tensor(0.1)
    w_OI[0, 0] *= 1.001
    found = survivors(w_OI, "tensor")[1]
    assert torch.equal(found, half(found))


def test_full_precision_is_not_taken_for_ternary() -> None:
    assert ternary_already(normal(16, 16), 8) is None
    assert ternary_already(torch.zeros(16, 16)) is None
    assert ternary_already(normal(16, 1)) is None  # a size for each row, and a row for each size
    assert ternary_already(normal(16, 16).sign()) == ("tensor", 0)
    assert ternary_already(normal(16, 16).sign() * normal(16, 1)) == ("channel", 0)
    assert ternary_already(normal(16, 16).sign() * normal(16, 2).repeat_interleave(8, 1), 8) == ("group", 8)


@given(st.integers(1, 6), st.integers(1, 40), st.sampled_from([1e-45, 1e-38, 1e-3, 1.0, 3e38]), st.integers(0, 99))
def test_activations_are_within_half_a_step(tokens: int, width: int, size: float, seed: int) -> None:
    x_MI = normal(tokens, width, seed=seed).clamp(-1, 1) * size
    code, scale = absmax_int8(x_MI)
    assert code.dtype == torch.int8
    assert scale.shape == (tokens, 1)
    assert int(code.min()) >= -127
    tiny = 2e-43 if size < 1e-37 else 0  # scales down there have few bits
    assert ((code * scale - x_MI).abs() <= scale * 0.5001 + tiny).all()


def test_a_token_of_zeros_has_scale_one_and_nothing_infinite_is_hidden() -> None:
    code, scale = absmax_int8(torch.tensor([[0.0, 0, 0], [1, -2, 0.5]]))
    assert code.tolist() == [[0, 0, 0], [64, -127, 32]]
    assert scale[0] == 1
    for bad in (float("nan"), float("inf"), -float("inf")):
        code, scale = absmax_int8(torch.tensor([[1.0, bad], [1.0, 2.0]]))
        assert not (code * scale)[0].isfinite().all()
        assert (code * scale)[1].isfinite().all()
