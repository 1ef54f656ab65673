"""How long stages have taken lately, and whether what is left of a tick is enough for one more."""

from __future__ import annotations

import numpy as np

REMEMBERED = 64
_QUANTILE = 0.9  # one spike does not close a stage for long


class Budget:
    def __init__(self, total_ms: float) -> None:
        self.total_ms = total_ms
        self._spent_ms: dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]] = {}
        self._count: dict[str, int] = {}

    def took(self, stage: str, ms: float) -> None:
        ring = self._spent_ms.setdefault(stage, np.zeros(REMEMBERED))
        count = self._count.get(stage, 0)
        ring[count % REMEMBERED] = ms
        self._count[stage] = count + 1

    def expected_ms(self, stage: str) -> float:
        """Zero before it has run."""
        count = min(self._count.get(stage, 0), REMEMBERED)
        return float(np.quantile(self._spent_ms[stage][:count], _QUANTILE)) if count else 0.0

    def allows(self, elapsed_ms: float, *stages: str) -> bool:
        return elapsed_ms + sum(self.expected_ms(stage) for stage in stages) <= self.total_ms
