"""The orchestrator: from readings to a verdict. Its order of a tick is `tick`, read from top to bottom.

A stage that crashes or is late costs its result, never the tick: later stages go on with the last result moved on
for at most half a second (`standins`), late detections join a later tick, prediction gives way when the rest of the
budget is needed for planning; and the monitor is told of each.

Stages are pipelined: readings are handed over as they come (`arrive`), and then, between ticks, perception looks
at pictures and sweeps, and fusion hears of the ego's motion, so that a tick begins with what needs all of it. What
only the next tick needs, where marks on the road are, is found after the verdict.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np

from agentforge.phase7_adas.drive.agent import (
    FUSION_MS,
    PERCEPTION_MS,
    PLANNING_MS,
    PREDICTION_MS,
    TOTAL_MS,
    Agent,
    Looks,
    Motion,
    Moving,
    Neighbour,
    Scene,
    Seen,
    Sight,
    Watched,
)
from agentforge.phase7_adas.drive.injected import InjectedFault
from agentforge.phase7_adas.drive.messages import (
    Detections,
    Ego,
    LaneFix,
    Mode,
    Plan,
    Predictions,
    StageTimes,
    Tracks,
    Verdict,
    no_detections,
)
from agentforge.phase7_adas.drive.orchestrator.budget import Budget
from agentforge.phase7_adas.drive.orchestrator.clocks import Clock, SimulatedClock
from agentforge.phase7_adas.drive.orchestrator.inbox import Inbox
from agentforge.phase7_adas.drive.orchestrator.late import Late
from agentforge.phase7_adas.drive.orchestrator.stage import Done, Stage
from agentforge.phase7_adas.drive.orchestrator.standins import moved_on, straight_on
from agentforge.phase7_adas.drive.readings import CameraReading, LidarReading, Reading
from agentforge.phase7_adas.drive.road import Road

TICK_US = 50_000

Given = TypeVar("Given")
Made = TypeVar("Made")


class Fuses(Protocol):
    def hear(self, given: Motion) -> None:
        """As it comes, before the tick. `localise` is given what was not heard before."""

    def localise(self, given: Motion) -> Ego: ...

    def track(self, given: Seen) -> Tracks: ...


@dataclass(frozen=True)
class Agents:
    fusion: Fuses
    perception: Looks
    prediction: Agent[Moving, Predictions]
    planning: Agent[Scene, Plan]
    monitor: Agent[Watched, Verdict]


@dataclass(frozen=True)
class Tick:
    """Everything of one tick. What is None was not made in it; `standins` names what was moved on instead."""

    t_us: int
    ego: Ego | None
    detections: Detections | None
    tracks: Tracks | None
    predictions: Predictions | None
    plan: Plan | None
    verdict: Verdict
    times: StageTimes
    late_ms: dict[str, float]
    crashes: dict[str, str]
    standins: tuple[str, ...]


@dataclass
class _Notes:
    """What one tick gathers on its way."""

    wall_ms: dict[str, float] = field(default_factory=dict)
    spent_ms: dict[str, float] = field(default_factory=dict)
    """By the pipeline's clock; fusion's two halves together."""
    late_ms: dict[str, float] = field(default_factory=dict)
    crashes: dict[str, str] = field(default_factory=dict)
    standins: list[str] = field(default_factory=list)


class Pipeline:
    def __init__(
        self,
        agents: Agents,
        road: Road,
        image_hw: tuple[int, int],
        faults: Sequence[InjectedFault] = (),
        clock: Clock | None = None,
    ) -> None:
        self.road = road
        self._agents = agents
        self._clock = clock or SimulatedClock()
        ceilings = {
            "fusion": FUSION_MS, "perception": PERCEPTION_MS, "prediction": PREDICTION_MS, "planning": PLANNING_MS,
        }  # fmt: skip
        self._stages = {name: Stage(name, ms, self._clock, faults) for name, ms in ceilings.items()}
        self._monitor = Stage("monitor", TOTAL_MS, self._clock)
        self._budget = Budget(TOTAL_MS)
        self._inbox = Inbox(image_hw)
        self._late = Late()
        self._lanes: tuple[LaneFix, ...] = ()
        self._unread: Sight | None = None
        """What was seen in the last tick, while nobody has looked for marks in it."""
        self._crashes: dict[str, str] = {}
        """Of what was done between ticks; told in the next one."""
        self._ego: Ego | None = None
        self._tracks: Tracks | None = None
        self._mode = Mode.NORMAL
        self._ahead_ms = self._heard_ms = 0.0

    def arrive(self, readings: Iterable[Reading]) -> None:
        """As they come, one by one: the same in whatever batches they are handed over. What perception fails at
        here it meets again in the tick, and it is told there."""
        self._look(())
        for one in readings:
            self._look(self._inbox.put((one,)))
            self._hear(one.stamp.arrived_us)

    def _look(self, readings: Iterable[CameraReading | LidarReading]) -> None:
        began = time.perf_counter()
        self._read_marks()
        for one in readings:
            with contextlib.suppress(Exception):
                self._agents.perception.ahead(one)
        self._ahead_ms += (time.perf_counter() - began) * 1e3

    def _hear(self, now_us: int) -> None:
        (imu, gps), lanes = self._inbox.motion(), self._lanes
        if not (imu or gps or lanes):
            return
        began, self._lanes = time.perf_counter(), ()
        try:
            self._agents.fusion.hear(Motion(now_us, imu, gps, lanes))
        except Exception as fault:
            self._crashes["fusion"] = f"{type(fault).__name__}: {fault}"
        self._heard_ms += (time.perf_counter() - began) * 1e3

    def _read_marks(self) -> None:
        """For the next tick: fusion has spoken in the one that they were seen in. A crash is told there, too."""
        sight, self._unread = self._unread, None
        if sight is None:
            return
        try:
            lane = self._agents.perception.marks(sight)
        except Exception as fault:
            self._crashes["perception"] = f"{type(fault).__name__}: {fault}"
            return
        self._lanes = () if lane is None else (lane,)

    def tick(
        self, t_us: int, readings: Iterable[Reading], lane: int, neighbours: tuple[Neighbour, ...] = ()
    ) -> Tick:
        """`readings`: those that were not handed over before."""
        began, began_ms, notes = time.perf_counter(), self._clock.now_ms(), _Notes()
        before_ms = self._catch_up(readings, notes)
        ego = self._localised(t_us, notes)
        detections = self._perceived(t_us, ego, notes)
        tracks = self._tracked(t_us, ego, detections, neighbours, notes)
        predictions = self._predicted(tracks, began_ms, notes)
        plan = self._planned(t_us, ego, tracks, predictions, lane, notes)
        watched = Watched(
            t_us, ego or _lost(t_us, self._ego), detections,
            None if "tracks" in notes.standins else tracks,
            None if notes.standins else predictions,
            plan, self.road, dict(self._inbox.arrived_us), dict(self._inbox.taken_us), notes.late_ms,
            dict(self._inbox.changed_us),
        )  # fmt: skip
        verdict = self._judged(t_us, watched, notes)
        self._mode = verdict.mode
        times = _times(notes.wall_ms, (time.perf_counter() - began) * 1e3, *before_ms)
        return Tick(
            t_us, ego, detections, tracks, predictions, plan, verdict, times, notes.late_ms, notes.crashes,
            tuple(notes.standins),
        )  # fmt: skip

    def listen(self, t_us: int, readings: Iterable[Reading], neighbours: tuple[Neighbour, ...] = ()) -> Ego | None:
        """A tick while somebody else drives: it finds out where it is and who is around, and plans nothing."""
        notes = _Notes()
        self._catch_up(readings, notes)
        ego = self._localised(t_us, notes)
        self._tracked(t_us, ego, self._perceived(t_us, ego, notes), neighbours, notes)
        return ego

    def _catch_up(self, readings: Iterable[Reading], notes: _Notes) -> tuple[float, float]:
        """What perception and fusion took since the last tick, ms. Whoever hands readings over with the tick alone
        has all of the work in it."""
        self._read_marks()
        self._inbox.put(readings)
        notes.crashes.update(self._crashes)
        self._crashes.clear()
        before_ms, self._ahead_ms, self._heard_ms = (self._ahead_ms, self._heard_ms), 0.0, 0.0
        return before_ms

    def _localised(self, t_us: int, notes: _Notes) -> Ego | None:
        ego = self._run(
            "fusion", t_us, self._agents.fusion.localise, Motion(t_us, *self._inbox.motion(), self._lanes), notes
        )
        self._lanes = ()
        if ego is not None:
            self._ego = ego
        return ego

    def _perceived(self, t_us: int, ego: Ego | None, notes: _Notes) -> Detections | None:
        sight = self._inbox.sight()
        if ego is None or all(one is None for one in sight):
            return self._late.newest(t_us)
        seen = Sight(t_us, ego, *sight, self.road)
        made = self._done("perception", t_us, self._agents.perception.step, seen, notes)
        if made.made is not None:
            self._unread = seen
        if made.made is not None and "perception" in notes.late_ms:
            self._late.put(t_us + round(made.spent_ms * 1e3), made.made)
            return self._late.newest(t_us)
        return made.made

    def _tracked(
        self,
        t_us: int,
        ego: Ego | None,
        detections: Detections | None,
        neighbours: tuple[Neighbour, ...],
        notes: _Notes,
    ) -> Tracks | None:
        """A late or lost sight still lets the tracks move on, and lets them age."""
        tracks = None
        if ego is not None:
            seen = Seen(t_us, ego, detections or no_detections(t_us), neighbours)
            tracks = self._run("fusion", t_us, self._agents.fusion.track, seen, notes)
        if tracks is None:
            notes.standins.append("tracks")
            return moved_on(self._tracks, t_us)
        self._tracks = tracks
        return tracks

    def _predicted(self, tracks: Tracks | None, began_ms: float, notes: _Notes) -> Predictions | None:
        if tracks is None:
            return None
        made = None
        if self._budget.allows(self._clock.now_ms() - began_ms, "prediction", "planning", "monitor"):
            moving = Moving(tracks, self.road)
            made = self._run("prediction", tracks.t_us, self._agents.prediction.step, moving, notes)
        if made is None or "prediction" in notes.late_ms:
            notes.standins.append("predictions")
            return straight_on(tracks)
        return made

    def _planned(
        self,
        t_us: int,
        ego: Ego | None,
        tracks: Tracks | None,
        predictions: Predictions | None,
        lane: int,
        notes: _Notes,
    ) -> Plan | None:
        if ego is None or tracks is None or predictions is None:
            return None
        scene = Scene(t_us, ego, tracks, predictions, self.road, lane, self._mode)
        plan = self._run("planning", t_us, self._agents.planning.step, scene, notes)
        return None if "planning" in notes.late_ms else plan

    def _judged(self, t_us: int, watched: Watched, notes: _Notes) -> Verdict:
        done = self._monitor.run(t_us, self._agents.monitor.step, watched)
        notes.wall_ms["monitor"] = done.wall_ms
        self._budget.took("monitor", done.spent_ms)
        if done.made is None:  # the monitor is the last line; there is nothing behind it that could go on
            raise RuntimeError(f"the safety monitor failed: {done.crash}")
        return done.made

    def _run(self, name: str, t_us: int, step: Callable[[Given], Made], given: Given, notes: _Notes) -> Made | None:
        return self._done(name, t_us, step, given, notes).made

    def _done(self, name: str, t_us: int, step: Callable[[Given], Made], given: Given, notes: _Notes) -> Done[Made]:
        stage = self._stages[name]
        done = stage.run(t_us, step, given)
        notes.wall_ms[name] = notes.wall_ms.get(name, 0.0) + done.wall_ms
        notes.spent_ms[name] = spent_ms = notes.spent_ms.get(name, 0.0) + done.spent_ms
        self._budget.took(name, spent_ms)
        if done.crash is not None:
            notes.crashes[name] = done.crash
        if spent_ms > stage.deadline_ms:
            notes.late_ms[name] = spent_ms - stage.deadline_ms
        return done


def _lost(t_us: int, last: Ego | None) -> Ego:
    """Without localisation in this tick: the last belief, not to be trusted."""
    if last is None:
        return Ego(t_us, np.full(6, np.nan), np.full((6, 6), np.nan), False, ("never localised",))
    return Ego(t_us, last.state_6, last.cov_66, False, (*last.reasons, "localisation gave nothing"))


def _times(wall_ms: dict[str, float], total_ms: float, ahead_ms: float, heard_ms: float) -> StageTimes:
    nan = float("nan")
    return StageTimes(
        fusion_ms=wall_ms.get("fusion", nan),
        perception_ms=wall_ms.get("perception", nan),
        prediction_ms=wall_ms.get("prediction", nan),
        planning_ms=wall_ms.get("planning", nan),
        monitor_ms=wall_ms.get("monitor", nan),
        total_ms=total_ms,
        ahead_ms=ahead_ms,
        heard_ms=heard_ms,
    )
