"""Parts of a phase's config that say which items it works on. Free of torch: a service validates them."""

from __future__ import annotations

from pydantic import Field, field_validator

from agentforge.data.tasks import check_difficulties, family
from agentforge.kit.config import StrictModel

_MANY = 1_000_000  # beyond, a number of items is a slip: it would only exhaust memory or patience


class FamiliesConfig(StrictModel):
    families: dict[str, list[int]] = Field(
        {"arithmetic": [], "recall": [], "nested": []},
        description="Families of tasks with their difficulties; empty: those of the family's start.",
    )

    @field_validator("families")
    @classmethod
    def _known(cls, value: dict[str, list[int]]) -> dict[str, list[int]]:
        if not value:
            raise ValueError("at least one family is needed: without one there are no items")
        check_difficulties(value)
        return value

    def difficulty(self, name: str) -> tuple[int, ...]:
        return tuple(self.families[name] or family(name).starter)


class HeldOutConfig(StrictModel):
    items: int = Field(100, ge=10, le=_MANY, description="Items of each family in the selection split.")
    test_items: int = Field(250, ge=10, le=_MANY, description="Items of each family in the test split.")
    batch: int = Field(64, ge=1, le=_MANY, description="Items of one forward pass.")
