"""Detections that were not ready in time: they come in a later tick, with the instant they are of."""

from __future__ import annotations

from agentforge.phase7_adas.drive.messages import Detections
from agentforge.phase7_adas.drive.orchestrator.standins import LONGEST_US


class Late:
    def __init__(self) -> None:
        self._waiting: list[tuple[int, Detections]] = []

    def put(self, ready_us: int, detections: Detections) -> None:
        self._waiting.append((ready_us, detections))

    def newest(self, t_us: int) -> Detections | None:
        """The newest that is ready by now; what is older than it, or too old for any use, is dropped."""
        ready = [one for due, one in self._waiting if due <= t_us and t_us - one.t_us <= LONGEST_US]
        self._waiting = [(due, one) for due, one in self._waiting if due > t_us]
        return max(ready, key=lambda one: one.t_us, default=None)
