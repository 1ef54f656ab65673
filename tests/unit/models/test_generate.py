"""`generate` is the loop a person would write, with or without a cache, alone or in a left-padded batch."""

import pytest
import torch

from .conftest import MakeTitan


@torch.no_grad()
def test_greedy_generation_is_the_argmax_loop(make_titan: MakeTitan, ids_BT: torch.Tensor) -> None:
    model = make_titan(memory_slots=8)
    loop_BT = ids_BT[:, :9]
    for _ in range(15):
        loop_BT = torch.cat((loop_BT, model(input_ids=loop_BT).logits[:, -1:].argmax(-1)), 1)
    for use_cache in (True, False):
        made = model.generate(
            ids_BT[:, :9], max_new_tokens=15, do_sample=False, use_cache=use_cache, pad_token_id=0
        )
        assert torch.equal(made, loop_BT)


@torch.no_grad()
@pytest.mark.parametrize("beams", [1, 3])
def test_a_left_padded_batch_generates_what_each_row_does_alone(
    make_titan: MakeTitan, ids_BT: torch.Tensor, beams: int
) -> None:
    model = make_titan(memory_slots=8)
    mask_BT = torch.ones_like(ids_BT[:, :12])
    mask_BT[1, :5], mask_BT[2, :11] = 0, 0
    settings = {"max_new_tokens": 12, "do_sample": False, "num_beams": beams, "pad_token_id": 0}
    together = model.generate(ids_BT[:, :12] * mask_BT, attention_mask=mask_BT, **settings)
    for row, skip in enumerate([0, 5, 11]):
        alone = model.generate(ids_BT[row : row + 1, skip:12], **settings)
        assert torch.equal(together[row, skip:], alone[0])
