"""The eight binary combinations of merge techniques, and the numbers they work with. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from agentforge.kit.config import StrictModel


@dataclass(frozen=True, order=True)
class Combination:
    """Three bits, one for each stage. The name is their string: "110" is SLERP, TIES, FrankenMerge (index 6).

    The seeds' table and their listing disagree on which end of the index is bit 0; the table's names hold here.
    """

    index: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < 8:
            raise ValueError(f"a combination's index is 0 to 7, not {self.index}")

    @property
    def name(self) -> str:
        return f"{self.index:03b}"

    @property
    def interpolation(self) -> Literal["linear", "slerp"]:
        return "slerp" if self.name[0] == "1" else "linear"

    @property
    def task(self) -> Literal["dare", "ties"]:
        return "ties" if self.name[1] == "1" else "dare"

    @property
    def selection(self) -> Literal["franken", "dfs"]:
        return "dfs" if self.name[2] == "1" else "franken"


COMBINATIONS = tuple(map(Combination, range(8)))


class CombinationOptions(StrictModel):
    """Defaults under which all eight children differ and keep the parents' norm (see `combine`)."""

    slerp_of: Literal["differences", "weights"] = Field(
        "differences",
        description="What SLERP turns: the differences from the base, or, as the seeds write it, whole weights "
        "(next to no different from Linear where the parents are close to each other).",
    )
    drop: float = Field(0.9, ge=0, le=0.999, description="DARE's p: chance of each difference to be dropped.")
    density: float = Field(0.2, gt=0, le=1, description="TIES: share of each tensor's differences that is kept.")
    lam: float = Field(1.0, ge=0, le=10, description="λ: factor on the difference that DARE or TIES has merged.")
    task_share: float = Field(0.5, gt=0, lt=1, description="Share of stage 2 in what stages 1 and 2 make.")
    selection_share: float = Field(0.5, gt=0, lt=1, description="Share of stage 3 in the child.")
    importance_floor: float = Field(
        0.01, gt=0, le=1, description="DFS: added to all importances of a tensor, as a share of their mean."
    )
    norm_band: float = Field(
        0.1, gt=0, le=1, description="How far a tensor's norm may be from the parents', as a share of theirs."
    )
