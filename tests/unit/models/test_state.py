"""State in and out: tokens given one by one, in pieces, padded or in other company give the same logits."""

from typing import Any

import pytest
import torch

from agentforge.models import TitanCache, TitanForCausalLM

from .conftest import PLAIN, MakeTitan

CASES: dict[str, dict[str, Any]] = {
    "all mechanisms": {},
    "slots run out": {"memory_slots": 8},
    "slots run out, fifo": {"memory_slots": 8, "memory_write": "fifo"},
    "slots run out, random": {"memory_slots": 8, "memory_write": "random"},
    "no momentum, no decay": {"memory_momentum": False, "memory_decay": False, "memory_slots": 8},
    "deep recursion": {"recursion_cycles": 2, "recursion_inner": 2, "act_steps_infer": 1},
    "act alone": {"memory": False, "recursion": False, "persistent_tokens": 0},
    "no window": {"sliding_window": None},
    "plain": PLAIN,
}


def in_pieces(model: TitanForCausalLM, ids_BT: torch.Tensor, sizes: list[int], **kwargs: Any) -> torch.Tensor:
    cache, logits, start = None, [], 0
    for size in sizes:
        out = model(input_ids=ids_BT[:, start : start + size], past_key_values=cache, use_cache=True, **kwargs)
        cache, start = out.past_key_values, start + size
        logits.append(out.logits)
    return torch.cat(logits, 1)


@torch.no_grad()
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "sizes", [[1] * 40, [13] + [1] * 27, [5, 9, 3, 1, 1, 2, 19]], ids=["1s", "prefill", "mixed"]
)
def test_cached_decoding_equals_the_full_forward(
    make_titan: MakeTitan, ids_BT: torch.Tensor, case: str, sizes: list[int]
) -> None:
    model = make_titan(**CASES[case])
    torch.testing.assert_close(in_pieces(model, ids_BT, sizes), model(input_ids=ids_BT).logits, rtol=0, atol=1e-10)


@torch.no_grad()
def test_cached_decoding_in_single_precision(make_titan: MakeTitan, ids_BT: torch.Tensor) -> None:
    model = make_titan().float()
    torch.testing.assert_close(
        in_pieces(model, ids_BT, [1] * 40), model(input_ids=ids_BT).logits, rtol=0, atol=1e-5
    )


@torch.no_grad()
@pytest.mark.parametrize("slots", [64, 8])
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_and_company_change_nothing(
    make_titan: MakeTitan, ids_BT: torch.Tensor, slots: int, side: str
) -> None:
    model = make_titan(memory_slots=slots)
    lengths = [40, 23, 1]
    padded_BT, mask_BT = torch.zeros_like(ids_BT), torch.zeros_like(ids_BT)
    for row, length in enumerate(lengths):
        place = slice(40 - length, None) if side == "left" else slice(0, length)
        padded_BT[row, place], mask_BT[row, place] = ids_BT[row, :length], 1
    together = model(input_ids=padded_BT, attention_mask=mask_BT).logits
    for row, length in enumerate(lengths):
        alone = model(input_ids=ids_BT[row : row + 1, :length]).logits[0]
        torch.testing.assert_close(together[row][mask_BT[row] == 1], alone, rtol=0, atol=1e-10)


@torch.no_grad()
@pytest.mark.parametrize("slots", [64, 8])
def test_rows_of_unequal_length_continue_together(make_titan: MakeTitan, ids_BT: torch.Tensor, slots: int) -> None:
    model = make_titan(memory_slots=slots)
    mask_BT = torch.ones_like(ids_BT)
    mask_BT[1, :7], mask_BT[2, :2] = 0, 0
    cache, logits, start = None, [], 0
    for size in [10, 1, 12, 1, 1, 15]:
        end = start + size
        out = model(ids_BT[:, start:end], mask_BT[:, :end], past_key_values=cache, use_cache=True)
        cache, start = out.past_key_values, end
        logits.append(out.logits)
    for row, skip in enumerate([0, 7, 2]):
        alone = model(input_ids=ids_BT[row : row + 1, skip:]).logits[0]
        torch.testing.assert_close(torch.cat(logits, 1)[row, skip:], alone, rtol=0, atol=1e-10)


@torch.no_grad()
def test_state_is_plain_tensors_that_can_be_taken_out_and_put_back(
    make_titan: MakeTitan, ids_BT: torch.Tensor
) -> None:
    model = make_titan()
    cache = model(input_ids=ids_BT[:, :30], use_cache=True).past_key_values
    copy = TitanCache({name: tensor.clone() for name, tensor in cache.state.items()}, cache.columns)
    assert all(len(tensor) == len(ids_BT) for tensor in copy.state.values())
    expected = model(input_ids=ids_BT[:, 30:], past_key_values=cache).logits
    assert torch.equal(model(input_ids=ids_BT[:, 30:], past_key_values=copy).logits, expected)


@torch.no_grad()
def test_state_stays_bounded(make_titan: MakeTitan, ids_BT: torch.Tensor) -> None:
    model = make_titan(memory_slots=8)
    out = model(input_ids=ids_BT, use_cache=True)
    for token in ids_BT.repeat(1, 3).split(1, 1):
        out = model(input_ids=token, past_key_values=out.past_key_values)
    window, memory = out.past_key_values.state["window.0.key"], out.past_key_values.state["memory.0.key"]
    assert window.shape[2] < 2 * 6
    assert memory.shape[1] < 8 + 2 * 4
