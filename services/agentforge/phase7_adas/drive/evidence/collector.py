"""The evidence collector: every tick's figures in memory that is laid out before the first of them."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.messages import Fault, StageTimes
from agentforge.phase7_adas.drive.orchestrator.pipeline import Tick
from agentforge.phase7_adas.drive.truth import ACCEL, EGO_ID, SPEED, Floats, Truth, X, Y

STAGES = tuple(each.name.removesuffix("_ms") for each in fields(StageTimes))
"""Columns of Collector.wall_ms: fusion, perception, prediction, planning, monitor, total."""
FIGURES = ("speed", "accel", "nearest_m", "tracks", "refused", "off_m", "commanded", "needed")
"""Columns of Collector.figures. `off_m`: how far the ego is from where it believes to be, or NaN while it does not
trust that. `commanded`: the verdict's acceleration; `needed`: the deceleration that is needed by the truth."""
BY_FACT = frozenset({"EGO_UNTRUSTED"})
"""Codes whose fact says what it is about: with another fact it is another fault."""


@dataclass(frozen=True)
class FaultSeen:
    code: str
    where: str
    seen_us: int
    told_us: int
    """The tick whose verdict first named it."""
    fact: str = ""


class Collector:
    def __init__(self, ticks: int) -> None:
        self.count = 0
        self.t_us: NDArray[np.int64] = np.zeros(ticks, dtype=np.int64)
        self.mode: NDArray[np.int8] = np.zeros(ticks, dtype=np.int8)
        self.reason: NDArray[np.bool_] = np.zeros(ticks, dtype=np.bool_)
        self.wall_ms: Floats = np.zeros((ticks, len(STAGES)))
        self.figures: Floats = np.zeros((ticks, len(FIGURES)))
        self.late: list[tuple[int, str, float]] = []
        """Tick, stage, ms beyond its ceiling."""
        self.crashes: list[tuple[int, str, str]] = []
        self.faults: list[FaultSeen] = []
        self._open: set[tuple[str, str, str]] = set()

    def note(self, tick: Tick, truth: Truth, reason: bool, needed_mps2: float) -> None:
        k = self.count
        self.t_us[k], self.mode[k], self.reason[k] = tick.t_us, tick.verdict.mode, reason
        self.wall_ms[k] = [getattr(tick.times, f"{stage}_ms") for stage in STAGES]
        refused = sum(tick.plan.refused.values()) if tick.plan is not None else 0
        tracks = len(tick.tracks.id_N) if tick.tracks is not None else 0
        self.figures[k] = (
            truth.ego_6[SPEED], truth.ego_6[ACCEL], nearest_m(truth), tracks, refused, _off_m(tick, truth),
            tick.verdict.command.accel_mps2, needed_mps2,
        )  # fmt: skip
        self.late += [(k, stage, ms) for stage, ms in sorted(tick.late_ms.items())]
        self.crashes += [(k, stage, what) for stage, what in sorted(tick.crashes.items())]
        now = {_key(one): one for one in tick.verdict.faults}
        self.faults += [
            FaultSeen(one.code, one.where, one.seen_us, tick.t_us, one.fact)
            for key, one in now.items()
            if key not in self._open
        ]
        self._open = set(now)
        self.count += 1

    def column(self, name: str) -> Floats:
        return self.figures[: self.count, FIGURES.index(name)]

    def stage_ms(self, name: str) -> Floats:
        """Of the ticks in which it ran."""
        taken = self.wall_ms[: self.count, STAGES.index(name)]
        return taken[~np.isnan(taken)]


def _key(one: Fault) -> tuple[str, str, str]:
    return one.code, one.where, one.fact if one.code in BY_FACT else ""


def _off_m(tick: Tick, truth: Truth) -> float:
    if tick.ego is None or not tick.ego.trusted:
        return float("nan")
    return float(np.hypot(*(tick.ego.state_6[[X, Y]] - truth.ego_6[[X, Y]])))


def nearest_m(truth: Truth) -> float:
    """Between centres, to whoever is nearest; infinite on an empty road."""
    others = truth.others.state_N6[truth.others.id_N != EGO_ID]
    if not len(others):
        return float("inf")
    return float(np.hypot(others[:, X] - truth.ego_6[X], others[:, Y] - truth.ego_6[Y]).min())
