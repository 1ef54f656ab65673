"""The Sudoku experiment: what its rows hold, and its variant of the recursion against the model's own."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import pytest
import torch

from agentforge.data.splits import Split
from agentforge.data.sudoku import Puzzle, puzzles
from agentforge.kit.rng import Rng
from agentforge.phase1_cognate.experiments.grids import Recursion, Variant, encode, titan
from agentforge.phase1_cognate.experiments.sudoku import SETTINGS


def _puzzles(count: int) -> list[Puzzle]:
    return puzzles(Split.TRAIN, 0, count, (6, 14))


def test_inputs_hold_no_solution() -> None:
    """Another solution of the blanks changes the labels, and not one input."""
    for puzzle in _puzzles(4):
        other = tuple(clue or digit % 6 + 1 for clue, digit in zip(puzzle.clues, puzzle.solution, strict=True))
        token_BT, label_BT = encode([puzzle], Rng(1, "test").python())
        other_token_BT, other_label_BT = encode([Puzzle(puzzle.clues, other)], Rng(1, "test").python())
        assert torch.equal(token_BT, other_token_BT)
        assert not torch.equal(label_BT, other_label_BT)


def test_clues_come_first_and_every_blank_is_asked_for() -> None:
    (puzzle,) = _puzzles(1)
    token_BT, label_BT = encode([puzzle], Rng(1, "test").python())
    cells, contents = (token_BT[0, :36] // 7).tolist(), (token_BT[0, :36] % 7).tolist()
    assert sorted(cells) == list(range(36))
    assert contents == [puzzle.clues[cell] for cell in cells]
    assert contents[-6:] == [0] * 6
    assert 0 not in contents[:-6]
    asked = [puzzle.solution[cell] + 251 for cell in cells[-6:]]
    assert label_BT[0].tolist() == [-100] * 31 + asked  # one column behind the blank


def test_the_variant_at_one_cycle_is_titan_to_the_bit() -> None:
    """Learning through the last six passes is what Titan does with n = 6; through the last one is not."""
    batch = encode(_puzzles(2), Rng(1, "test").python())
    found = []
    for learned in (6, 5, 5):
        torch.manual_seed(0)
        model = titan(Recursion(3, 6, learned, bounded=False), Rng(0, "test").torch())
        if isinstance(model, Variant) and len(found) == 1:
            model.recursion = replace(model.recursion, learned=6)
        model.train()
        model(input_ids=batch[0], labels=batch[1]).loss.backward()
        found.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    own, same, fewer = found
    assert own.keys() == same.keys()
    assert all(torch.equal(own[name], same[name]) for name in own)
    assert any(not torch.equal(own[name], fewer[name]) for name in own)


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_have_equal_parameters(name: str) -> None:
    setting = SETTINGS[name]
    recursion = Recursion(**{field.name: setting[field.name] for field in dataclasses.fields(Recursion)})
    model = titan(recursion, Rng(0, "test").torch())
    assert model.num_parameters() == pytest.approx(146_112, rel=1e-3)
