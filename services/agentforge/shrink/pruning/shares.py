"""Which weights are kept, by how much they matter: a share of the matrix, a share of every row, or two of four."""

from __future__ import annotations

from torch import Tensor

from agentforge.kit.errors import InvalidInput
from agentforge.shrink.masks import all_but, two_of_four

TWO_OF_FOUR = "2:4"


def fraction(share: str) -> float:
    """Of the weights, how many become zero."""
    if share == TWO_OF_FOUR:
        return 0.5
    try:
        found = float(share)
    except ValueError:
        found = -1.0
    if not 0 < found < 1:
        message = f"no share of the weights is called {share!r}"
        step = f'Say a number between 0 and 1, as "0.5", or "{TWO_OF_FOUR}".'
        raise InvalidInput(message, reason="OUT_OF_RANGE", field="share", next_step=step)
    return found


def check_fours(name: str, weight_OI: Tensor, share: str) -> None:
    if share == TWO_OF_FOUR and weight_OI.shape[1] % 4:
        message = f"{name} has {weight_OI.shape[1]} inputs, which are no whole fours"
        step = 'Take a share as "0.5" for this model.'
        raise InvalidInput(message, reason="GROUP_MISFIT", field=name, next_step=step)


def kept_of_matrix(size_OI: Tensor, share: str) -> Tensor:
    """The largest of the whole matrix, or of each four."""
    return two_of_four(size_OI) if share == TWO_OF_FOUR else all_but(size_OI, fraction(share))


def kept_of_rows(size_OI: Tensor, share: str) -> Tensor:
    """As many in every row: the largest of it, or of each four."""
    if share == TWO_OF_FOUR:
        return two_of_four(size_OI)
    most = round((1 - fraction(share)) * size_OI.shape[1])
    best = size_OI.argsort(dim=-1, descending=True, stable=True)[:, :most]
    return size_OI.new_zeros(size_OI.shape).bool().scatter(-1, best, True)
