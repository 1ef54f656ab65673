"""The parents' weights: their options, and sums under them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from agentforge.kit.config import StrictModel, Unfit
from agentforge.kit.errors import InvalidInput

if TYPE_CHECKING:
    from torch import Tensor

# Elements taken at a time: float64 copies stay in the cache, and PyTorch sums so few on one thread, in one order.
CHUNK = 1 << 15

# For longer rows of operations: they work in the cache, and temporary copies are of a piece, not of the tensor.
PIECE = 1 << 16

_WEIGHTS = "One for each parent, in their order; none at all for equal weights."

Signed = Annotated[float, Field(ge=-10, le=10)]
Share = Annotated[float, Field(ge=0, le=10)]


class Weights(StrictModel):
    """Weights may be negative: to extrapolate, or to unlearn."""

    weights: tuple[Signed, ...] = Field((), max_length=64, description=_WEIGHTS)
    normalize: bool = Field(True, description="Divide by the sum of the weights.")

    @model_validator(mode="after")
    def _can_be_normalized(self) -> Self:
        if self.normalize and self.weights and abs(sum(self.weights)) < 1e-6:
            raise Unfit("weights", "they sum to zero, and nothing can be divided by that")
        return self


class Shares(Weights):
    """Weights of at least zero: a negative one would turn its parent's vote on the sign around."""

    weights: tuple[Share, ...] = Field((), max_length=64, description=_WEIGHTS)


def each_weight(options: Weights, parents: int) -> tuple[float, ...]:
    """As given, or 1 for each; not yet normalised."""
    weights = options.weights or (1.0,) * parents
    if len(weights) != parents:
        raise InvalidInput(
            f"{len(weights)} weights were given for {parents} parents", reason="WEIGHT_COUNT", field="weights"
        )
    return weights


def final_weights(options: Weights, parents: int) -> tuple[float, ...]:
    """As given, or 1 for each; divided by their sum where asked."""
    weights = each_weight(options, parents)
    total = sum(weights) if options.normalize else 1.0
    return tuple(weight / total for weight in weights)


def weighted_sum(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """In float64, rounded once: equal tensors under weights that sum to 1 come out as they were, to the bit."""
    import torch

    merged = torch.empty_like(tensors[0], memory_format=torch.contiguous_format)
    flat = [tensor.reshape(-1) for tensor in tensors]
    for start in range(0, merged.numel(), CHUNK):
        here = slice(start, start + CHUNK)
        total = flat[0][here].double() * weights[0]
        for tensor, weight in zip(flat[1:], weights[1:], strict=True):
            total += tensor[here].double() * weight
        merged.view(-1)[here] = total
    return merged


def pieces(count: int) -> Iterator[slice]:
    return (slice(start, start + PIECE) for start in range(0, count, PIECE))


def in_pieces(merged: Iterable[Tensor], like: Tensor) -> Tensor:
    """The pieces of a tensor, in their order, as a tensor of this shape."""
    import torch

    whole = torch.empty_like(like, memory_format=torch.contiguous_format)
    for here, piece in zip(pieces(whole.numel()), merged, strict=True):
        whole.view(-1)[here] = piece
    return whole
