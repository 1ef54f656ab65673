"""How long stages have taken lately, and whether what is left of a tick is enough for one more."""

from __future__ import annotations

from collections import deque

REMEMBERED = 64
_QUANTILE = 0.5
"""As long as it mostly takes. A higher one keeps the tail of ticks shorter, and costs more: of ticks that are near
their budget most go without a prediction, and the monitor degrades a car that has none for 150 ms."""


class Budget:
    def __init__(self, total_ms: float) -> None:
        self.total_ms = total_ms
        self._spent_ms: dict[str, deque[float]] = {}

    def took(self, stage: str, ms: float) -> None:
        self._spent_ms.setdefault(stage, deque(maxlen=REMEMBERED)).append(ms)

    def expected_ms(self, stage: str) -> float:
        """Zero before it has run. Asked in every tick: numpy's quantile takes twenty times as long."""
        spent = sorted(self._spent_ms.get(stage, ()))
        if not spent:
            return 0.0
        place = _QUANTILE * (len(spent) - 1)
        low = int(place)
        high = min(low + 1, len(spent) - 1)
        return spent[low] + (place - low) * (spent[high] - spent[low])

    def allows(self, elapsed_ms: float, *stages: str) -> bool:
        return elapsed_ms + sum(self.expected_ms(stage) for stage in stages) <= self.total_ms
