"""6x6 Sudoku with boxes of 2 rows and 3 columns: every puzzle has exactly one solution.

A grid is a tuple of 36 cells, row by row, with 1 to 6 for digits and 0 for a blank. Puzzles that differ only by a
symmetry (names of digits; order of bands, rows, stacks and columns: 720 * 3,456 in all) are forms of one puzzle and
share its split. Up to symmetry there are only 49 *solved* grids: what is held out is a puzzle, not its solution.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations, product
from random import Random

import numpy as np
from numpy.typing import NDArray

from agentforge.data.splits import Split, assert_split, split_of
from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng

SIDE = 6
CELLS = SIDE * SIDE
BOX_ROWS, BOX_COLUMNS = 2, 3
MOST_BLANKS = 22  # beyond it, unique puzzles are too rare for drawing at random

Grid = tuple[int, ...]


def box(cell: int) -> int:
    row, column = divmod(cell, SIDE)
    return row // BOX_ROWS * (SIDE // BOX_COLUMNS) + column // BOX_COLUMNS


def _units(cell: int) -> tuple[int, int, int]:
    """Row, column and box of a cell, numbered 0 to 17."""
    return cell // SIDE, SIDE + cell % SIDE, 2 * SIDE + box(cell)


UNITS = tuple(_units(cell) for cell in range(CELLS))


@dataclass(frozen=True, slots=True)
class Puzzle:
    clues: Grid
    solution: Grid

    @property
    def blanks(self) -> int:
        return self.clues.count(0)

    @property
    def key(self) -> str:
        """What the split hashes."""
        return canonical(self.clues)


def solutions(clues: Sequence[int], limit: int = 2, rng: Random | None = None) -> list[Grid]:
    """Up to `limit` solutions; with `rng` the digits are tried in random order."""
    grid, used = list(clues), [0] * (3 * SIDE)
    for cell, digit in enumerate(grid):
        if digit:
            if any(used[unit] >> digit & 1 for unit in UNITS[cell]):
                return []
            _flip(used, cell, digit)
    found: list[Grid] = []
    _search(grid, used, [cell for cell in range(CELLS) if not grid[cell]], found, limit, rng)
    return found


def _flip(used: list[int], cell: int, digit: int) -> None:
    for unit in UNITS[cell]:
        used[unit] ^= 1 << digit


def _search(
    grid: list[int], used: list[int], open_cells: list[int], found: list[Grid], limit: int, rng: Random | None
) -> None:
    """Depth first, always at the cell with the fewest digits left."""
    if not open_cells:
        found.append(tuple(grid))
        return
    choices = {cell: _choices(used, cell) for cell in open_cells}
    cell = min(open_cells, key=lambda open_cell: len(choices[open_cell]))
    rest = [other for other in open_cells if other != cell]
    for digit in rng.sample(choices[cell], len(choices[cell])) if rng else choices[cell]:
        if len(found) >= limit:
            break
        grid[cell] = digit
        _flip(used, cell, digit)
        _search(grid, used, rest, found, limit, rng)
        _flip(used, cell, digit)
        grid[cell] = 0


def _choices(used: list[int], cell: int) -> list[int]:
    row, column, square = UNITS[cell]
    taken = used[row] | used[column] | used[square]
    return [digit for digit in range(1, SIDE + 1) if not taken >> digit & 1]


@cache
def symmetries() -> NDArray[np.int64]:
    """(3,456, 36): which old cell stands at each new one."""
    orders = [(rows, columns) for rows, columns in product(_line_orders(BOX_ROWS), _line_orders(BOX_COLUMNS))]
    return np.array([[row * SIDE + column for row in rows for column in columns] for rows, columns in orders])


def _line_orders(size: int) -> list[list[int]]:
    """Orders of six lines that keep groups of `size` together."""
    return [
        [group * size + line for group, lines in zip(groups, inner, strict=True) for line in lines]
        for groups in permutations(range(SIDE // size))
        for inner in product(permutations(range(size)), repeat=SIDE // size)
    ]


def canonical(clues: Sequence[int]) -> str:
    """36 digits, the same for all forms of a puzzle: the earliest pattern of blanks, then the earliest digits."""
    forms = np.asarray(clues)[symmetries()]
    patterns = (forms > 0) @ (1 << np.arange(CELLS, dtype=np.int64))
    return min(_renamed(form) for form in forms[patterns == patterns.min()].tolist())


def _renamed(grid: Iterable[int]) -> str:
    """Digits named by the order in which they come."""
    names = {0: 0}
    return "".join(str(names.setdefault(digit, len(names))) for digit in grid)


def disguised(puzzle: Puzzle, rng: Random) -> Puzzle:
    """A random form of the same puzzle: its key, and so its split, is the same."""
    order = symmetries()[rng.randrange(len(symmetries()))].tolist()
    names = [0, *rng.sample(range(1, SIDE + 1), SIDE)]
    clues, solution = (tuple([names[grid[cell]] for cell in order]) for grid in (puzzle.clues, puzzle.solution))
    return Puzzle(clues, solution)


def draw(rng: Random, blanks: int) -> Puzzle:
    """A solved grid with `blanks` cells cleared one by one, each only while there is no second solution."""
    while True:
        solution = solutions((0,) * CELLS, 1, rng)[0]
        clues, left = list(solution), blanks
        for cell in rng.sample(range(CELLS), CELLS):
            if not left:
                return Puzzle(tuple(clues), solution)
            clues[cell] = 0
            if len(solutions(clues)) == 1:
                left -= 1
            else:
                clues[cell] = solution[cell]


def puzzles(split: Split, seed: int, count: int, blanks: Sequence[int]) -> list[Puzzle]:
    """`count` puzzles of a split, no two of them forms of one, taking the numbers of blanks in turns."""
    if not blanks or not all(1 <= number <= MOST_BLANKS for number in blanks):
        message = f"blanks must be from 1 to {MOST_BLANKS}, not {list(blanks)}"
        raise InvalidInput(message, reason="BAD_DIFFICULTY", field="blanks", next_step="Take fewer blanks.")
    found: dict[str, Puzzle] = {}
    number = 0
    while len(found) < count:
        rng = Rng(seed, f"data/sudoku/{split}", number).python()
        puzzle = draw(rng, blanks[len(found) % len(blanks)])
        key = puzzle.key
        if split_of(key) is split:
            found.setdefault(key, puzzle)
        number += 1
    assert_split(found, split)
    return list(found.values())
