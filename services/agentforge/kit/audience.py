"""Whom a phase's code tells how far it is: its run's context or, in experiments, which have no run, `Quiet`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from agentforge.kit.measure import Measurement


class Audience(Protocol):
    """What a kit.context.PhaseContext can be told, for code that needs nothing else of it."""

    def progress(self, done: int, total: int = 0, unit: str = "steps", message: str = "") -> None: ...
    def measure(self, measurement: Measurement) -> None: ...
    def log(self, message: str, level: str = "info") -> None: ...
    def sample(self, name: str, data: Mapping[str, Any]) -> None: ...
    def check_stop(self, save: Callable[[], None] | None = None) -> None: ...


class Quiet:
    """An `Audience`, and a context of train.loop: it keeps the measurements, and nobody hears the rest."""

    def __init__(self) -> None:
        self.measured: list[Measurement] = []

    @property
    def checkpoints(self) -> Quiet:
        return self

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        raise AssertionError("a checkpoint has no place without a run: set checkpoint_every to 0")

    def progress(self, done: int, total: int = 0, unit: str = "steps", message: str = "") -> None:
        return

    def measure(self, measurement: Measurement) -> None:
        self.measured.append(measurement)

    def log(self, message: str, level: str = "info") -> None:
        return

    def sample(self, name: str, data: Mapping[str, Any]) -> None:
        return

    def check_stop(self, save: Callable[[], None] | None = None) -> None:
        return
