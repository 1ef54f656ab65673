"""When to stop alternating between tools and persona: the measured score no longer rises."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from agentforge.phase6_baking.configs.persona import PlateauConfig


class PlateauDetector:
    """Compares with the best that was there when a gain was last counted, so many small gains add up to one."""

    def __init__(self, config: PlateauConfig) -> None:
        self.config = config
        self.best: float | None = None
        self.rounds = 0  # without a gain
        self.seen: list[float] = []

    def observe(self, score: float) -> bool:
        """After each round; whether the plateau is reached. More is better."""
        if not math.isfinite(score):
            raise ValueError(f"a round's score is {score}: nothing was measured")
        self.seen.append(score)
        if self.best is None or score > self.best + self.config.tolerance:
            self.best, self.rounds = score, 0
        else:
            self.rounds += 1
        return self.reached

    @property
    def reached(self) -> bool:
        return self.rounds >= self.config.patience

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "rounds": self.rounds, "seen": list(self.seen)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best, self.rounds, self.seen = state["best"], state["rounds"], list(state["seen"])
