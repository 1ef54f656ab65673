"""What a merge method is: a pure function from the parents' copies of one tensor to the merged tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from agentforge.kit.config import StrictModel
from agentforge.kit.errors import InvalidInput

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Sources:
    """One tensor as every model has it. All are float32 and of one shape; the caller has seen to that."""

    name: str
    parents: tuple[Tensor, ...]
    base: Tensor | None
    seed: int

    @property
    def trunk(self) -> Tensor:
        """The common base, for methods that work on the parents' differences from it."""
        if self.base is None:
            raise InvalidInput(
                "this method works on differences from a common base, and none was given",
                reason="BASE_REQUIRED",
                field="base",
                next_step="Name the model that all parents were trained from.",
            )
        return self.base


class MergeMethod(Protocol):
    """One line in the table of methods. `merge` changes none of its inputs."""

    @property
    def name(self) -> str: ...

    @property
    def needs_base(self) -> bool: ...

    @property
    def parents_min(self) -> int: ...

    @property
    def parents_max(self) -> int | None: ...

    @property
    def Options(self) -> type[StrictModel]: ...

    def merge(self, sources: Sources, options: Any) -> Tensor: ...


def check_finite(name: str, parents: Sequence[Tensor], role: str = "parent") -> None:
    """Refuse NaN and Inf, by tensor and by parent (counted from 1)."""
    for number, parent in enumerate(parents, start=1):
        if kind := unfinite(parent):
            raise InvalidInput(
                f"tensor {name!r} of {role} {number} of {len(parents)} holds {kind}",
                reason="NOT_FINITE",
                field=name,
                next_step="Leave this model out, or take an earlier checkpoint of it.",
            )


def unfinite(tensor: Tensor) -> str | None:
    """ "NaN" or "Inf", if it holds one. One pass, no copy."""
    if tensor.numel() == 0:
        return None
    low, high = tensor.aminmax()  # both are NaN where any element is
    if low.isfinite() and high.isfinite():
        return None
    return "NaN" if low.isnan() else "Inf"
