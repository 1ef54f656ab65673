from __future__ import annotations

from itertools import product
from math import factorial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentforge.data.splits import Split, assert_disjoint, split_of
from agentforge.data.sudoku import (
    CELLS,
    MOST_BLANKS,
    SIDE,
    UNITS,
    Puzzle,
    canonical,
    disguised,
    draw,
    puzzles,
    solutions,
    symmetries,
)
from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng

EMPTY = (0,) * CELLS


def _valid(grid: tuple[int, ...]) -> bool:
    """Checked without the solver's own bookkeeping: each unit holds each digit once."""
    members: dict[int, list[int]] = {}
    for cell, units in enumerate(UNITS):
        for unit in units:
            members.setdefault(unit, []).append(grid[cell])
    return len(members) == 3 * SIDE and all(sorted(unit) == list(range(1, SIDE + 1)) for unit in members.values())


def _checked(puzzle: Puzzle) -> None:
    assert _valid(puzzle.solution)
    assert all(clue in (0, digit) for clue, digit in zip(puzzle.clues, puzzle.solution, strict=True))
    assert solutions(puzzle.clues, 3) == [puzzle.solution]


def test_boxes_are_two_rows_by_three_columns() -> None:
    first_box = [cell for cell in range(CELLS) if UNITS[cell][2] == UNITS[0][2]]
    assert first_box == [0, 1, 2, 6, 7, 8]


def test_the_solver_finds_every_solution() -> None:
    """Against trying all digits in all blanks; clearing all twos and threes leaves the two names to be swapped."""
    solved = solutions(EMPTY, 1)[0]
    clues = tuple(0 if digit in (2, 3) and cell < 12 else digit for cell, digit in enumerate(solved))
    blanks = [cell for cell in range(CELLS) if not clues[cell]]
    tried = set()
    for digits in product(range(1, SIDE + 1), repeat=len(blanks)):
        grid = list(clues)
        for cell, digit in zip(blanks, digits, strict=True):
            grid[cell] = digit
        if _valid(tuple(grid)):
            tried.add(tuple(grid))
    assert set(solutions(clues, 100)) == tried
    swapped = tuple({2: 0, 3: 0}.get(digit, digit) for digit in solved)
    assert len(solutions(swapped, 100)) >= 2
    assert solutions((1, 1, *EMPTY[2:])) == []


@given(seed=st.integers(0, 2**40), blanks=st.integers(1, MOST_BLANKS))
@settings(max_examples=25)
def test_a_puzzle_has_its_blanks_and_one_solution(seed: int, blanks: int) -> None:
    puzzle = draw(Rng(seed, "test").python(), blanks)
    assert puzzle.blanks == blanks
    _checked(puzzle)


def test_symmetries_are_all_different_and_keep_a_grid_valid() -> None:
    orders = symmetries().tolist()
    assert len({tuple(order) for order in orders}) == 3_456 == (factorial(3) * 2**3) * (2 * factorial(3) ** 2)
    solved = solutions(EMPTY, 1)[0]
    assert all(_valid(tuple(solved[cell] for cell in order)) for order in orders[::50])


@given(seed=st.integers(0, 2**40), blanks=st.integers(1, MOST_BLANKS))
@settings(max_examples=25)
def test_a_form_is_the_same_puzzle(seed: int, blanks: int) -> None:
    rng = Rng(seed, "test").python()
    puzzle = draw(rng, blanks)
    form = disguised(puzzle, rng)
    assert form.blanks == blanks
    _checked(form)
    assert form.key == puzzle.key


def test_other_puzzles_have_other_keys() -> None:
    puzzle = draw(Rng(1, "test").python(), 8)
    cell = puzzle.clues.index(0)
    easier = (*puzzle.clues[:cell], puzzle.solution[cell], *puzzle.clues[cell + 1 :])
    assert canonical(easier) != puzzle.key


def test_splits_never_meet() -> None:
    found = {split: puzzles(split, 42, 12, (6, 9)) for split in (Split.TRAIN, Split.TEST)}
    assert_disjoint({split: [puzzle.key for puzzle in each] for split, each in found.items()})
    for split, each in found.items():
        assert [puzzle.blanks for puzzle in each] == [6, 9] * 6
        assert len({puzzle.key for puzzle in each}) == 12
        rng = Rng(0, "test").python()
        assert {split_of(disguised(puzzle, rng).key) for puzzle in each} == {split}


def test_a_seed_gives_the_same_puzzles() -> None:
    """What is recorded was measured on such sets."""
    first = puzzles(Split.TEST, 42, 3, (10,))
    assert first == puzzles(Split.TEST, 42, 3, (10,))
    assert first != puzzles(Split.TEST, 43, 3, (10,))


@pytest.mark.parametrize("blanks", [(), (0,), (8, MOST_BLANKS + 1)])
def test_impossible_numbers_of_blanks_are_refused(blanks: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match="blanks must be from 1 to 22"):
        puzzles(Split.TRAIN, 42, 1, blanks)
