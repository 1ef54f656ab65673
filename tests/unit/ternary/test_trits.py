"""Packing is exact both ways for any shape, and lies in the file as documented."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers.integrations.bitnet import pack_weights

from agentforge.models.ternary.tables import SPAN, quantise_table, table
from agentforge.models.ternary.trits import pack_2bit, pack_base3, unpack_2bit, unpack_base3

SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 23), st.integers(0, 999))


def random_codes(rows: int, columns: int, seed: int) -> Tensor:
    return torch.randint(-1, 2, (rows, columns), generator=torch.Generator().manual_seed(seed), dtype=torch.int8)


@given(SHAPES)
def test_two_bits_go_both_ways(shape: tuple[int, int, int]) -> None:
    code_OI = random_codes(*shape)
    packed = pack_2bit(code_OI)
    assert packed.shape == (-(-shape[0] // 4), shape[1])
    assert torch.equal(unpack_2bit(packed, shape[0]), code_OI)


@given(SHAPES)
def test_base_three_goes_both_ways(shape: tuple[int, int, int]) -> None:
    code_OI = random_codes(*shape)
    packed = pack_base3(code_OI)
    assert packed.shape == (-(-shape[0] * shape[1] // 5),)
    assert int(packed.max()) <= 242
    assert torch.equal(unpack_base3(packed, code_OI.shape), code_OI)


@given(SHAPES)
def test_the_bytes_are_those_of_transformers(shape: tuple[int, int, int]) -> None:
    code_OI = random_codes(*shape)
    assert torch.equal(pack_2bit(code_OI), pack_weights(code_OI.clone()))  # it writes into what it is given


def test_the_layout_by_hand() -> None:
    code_OI = torch.tensor([[-1, 0], [1, 1], [0, 0], [1, -1], [-1, 1]], dtype=torch.int8)
    # two rows of bytes: rows 0, 2, 4 and 1, 3 from the lowest bits up; what is not there is 0
    assert pack_2bit(code_OI).tolist() == [[0b00_00_01_00, 0b00_10_01_01], [0b00_00_10_10, 0b00_00_00_10]]
    # ten codes, row by row: -1 0 | 1 1 | 0 0 | 1 -1 | -1 1; byte r has r, r+2, ..., r+8
    assert pack_base3(code_OI).tolist() == [
        0 + 2 * 3 + 1 * 9 + 2 * 27 + 0 * 81,
        1 + 2 * 3 + 1 * 9 + 0 * 27 + 2 * 81,
    ]


@pytest.mark.parametrize("bits", [8, 4])
@given(shape=st.tuples(st.integers(1, 9), st.integers(1, 150)), seed=st.integers(0, 99))
def test_tables_are_within_half_a_step_and_fixed_once_rounded(bits: int, shape: tuple[int, int], seed: int) -> None:
    w_VD = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.02
    w_VD[0] = 0
    code, scale = quantise_table(w_VD, bits)
    found = table(code, scale, shape, bits)
    step = scale.float().repeat_interleave(SPAN, 1)[:, : shape[1]]
    top = 2 ** (bits - 1) - 1
    assert (
        (found - w_VD).abs() <= step * (0.5 + top * 2**-10)
    ).all()  # half a step, and float16's share at the top
    assert not found[0].any()
    assert code.nbytes == (w_VD.numel() if bits == 8 else -(-w_VD.numel() // 2))
