"""Who sees whom, written out."""

from __future__ import annotations

import torch

from agentforge.models.thoughts.mask import Own, diagonal_mask, own_mask, text_mask
from agentforge.models.thoughts.places import all_places, targets


def grid(picture: str) -> torch.Tensor:
    return torch.tensor([[mark == "x" for mark in line.split()] for line in picture.strip().splitlines()])


def test_two_thoughts_of_three_tokens_written_out() -> None:
    """Text of 4 tokens; a thought after the second, one after the third; window 4; steps of 1 and 2 tokens."""
    own = Own(torch.tensor([[1, 2]]))
    live = torch.ones(1, 2, 3, dtype=torch.bool)
    assert own.add(live[..., :1]).tolist() == [[[2], [3]]]
    position_BML = own.add(live[..., 1:])
    assert position_BML.tolist() == [[[3, 4], [4, 5]]]
    text_BT, limit_BQ = torch.arange(4)[None], torch.tensor([[1, 1, 2, 2]])
    seen_BQT = text_mask(text_BT, position_BML.flatten(1), limit_BQ, 4)
    own_BMLJ = own_mask(own.position_BMJ, own.live_BMJ, position_BML, 4)
    # columns: the text; the first step, thought by thought; the second step, thought by thought
    wanted = grid("""
        x x . .   x .   x . . .
        . x . .   x .   x x . .
        . x x .   . x   . . x .
        . . x .   . x   . . x x
    """)
    found = torch.cat((seen_BQT, diagonal_mask(own_BMLJ, own.steps)), 2)[0]
    assert torch.equal(found, wanted)


def test_the_window_closes_over_a_long_thought() -> None:
    own = Own(torch.tensor([[0]]))
    position_BML = own.add(torch.ones(1, 1, 5, dtype=torch.bool))
    wanted = grid("""
        x . . . .
        x x . . .
        x x x . .
        . x x x .
        . . x x x
    """)
    assert torch.equal(own_mask(own.position_BMJ, own.live_BMJ, position_BML, 3)[0, 0], wanted)


def test_what_follows_the_end_is_seen_by_nothing_and_takes_no_place() -> None:
    own = Own(torch.tensor([[6]]))
    position_BML = own.add(torch.tensor([[[True, True, False, False, True]]]))
    assert position_BML.tolist() == [[[7, 8, 8, 8, 9]]]
    wanted = grid("""
        x . . . .
        x x . . .
        x x . . .
        x x . . .
        x x . . x
    """)
    assert torch.equal(own_mask(own.position_BMJ, own.live_BMJ, position_BML, None)[0, 0], wanted)


def test_places_and_targets_of_padded_rows() -> None:
    mask_BT = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1], [1, 1, 1, 0], [0, 1, 0, 0]])
    places_BP = all_places(mask_BT, 2)
    assert places_BP.tolist() == [[0, 1, 2], [2, -1, -1], [0, 1, -1], [-1, -1, -1]]
    targets_BPA, there_BPA = targets(torch.arange(16).view(4, 4), mask_BT, places_BP, 2)
    assert targets_BPA[there_BPA].tolist() == [1, 2, 2, 3, 3, 7, 9, 10, 10]
    assert there_BPA[1].tolist() == [[True, False], [False, False], [False, False]]
