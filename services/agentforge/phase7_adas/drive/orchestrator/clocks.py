"""By which time deadlines are kept: the wall's where latency is the question, a simulated one where bytes are."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    def now_ms(self) -> float: ...

    def spend_ms(self, amount: float) -> None:
        """Let this much time pass: an injected overrun."""


class WallClock:
    def now_ms(self) -> float:
        return time.perf_counter() * 1e3

    def spend_ms(self, amount: float) -> None:
        until = time.perf_counter() + amount / 1e3
        while time.perf_counter() < until:  # a stage that overruns holds its core; sleeping would give it away
            pass


class SimulatedClock:
    """Stands still but for what is spent: the same run keeps the same deadlines on any machine."""

    def __init__(self) -> None:
        self._now_ms = 0.0

    def now_ms(self) -> float:
        return self._now_ms

    def spend_ms(self, amount: float) -> None:
        self._now_ms += amount
