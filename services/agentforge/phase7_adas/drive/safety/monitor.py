"""The safety monitor: looks at everything, trusts nothing, and has the last word on what is driven."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from agentforge.phase7_adas.drive.agent import Watched
from agentforge.phase7_adas.drive.messages import Command, Fault, Mode, Tracks, Verdict
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.safety.around import HALF_WIDE, Surroundings
from agentforge.phase7_adas.drive.safety.belief import Belief
from agentforge.phase7_adas.drive.safety.courses import Bound, PlanCourse, rss
from agentforge.phase7_adas.drive.safety.emergency import HOLD_MPS2, emergency_stop
from agentforge.phase7_adas.drive.safety.minimal_risk import comfortable_brake, comfortable_stop
from agentforge.phase7_adas.drive.safety.modes import Modes, Recovery
from agentforge.phase7_adas.drive.safety.plans import UNUSABLE, check_plan, within_limits
from agentforge.phase7_adas.drive.safety.plausibility import EgoCheck, Streams
from agentforge.phase7_adas.drive.safety.redundancy import BlindSensors, one_source, sure
from agentforge.phase7_adas.drive.safety.stages import Stages
from agentforge.phase7_adas.drive.safety.watchdog import Watchdog
from agentforge.phase7_adas.drive.truth import SPEED, X, Y

MONITOR_MS = 1.0
OFF_LANES_M = 1.2
"""So far beyond the outer edge of the own lanes a side may be; localisation alone is off by a metre."""
TRACKS_US = 500_000
"""Tracks that are missing are moved on for this long."""
HOLD_US = 100_000
"""A missing plan is bridged by the last command this long, without any acceleration."""


@dataclass(frozen=True)
class _Found:
    """What one tick's looking gave."""

    faults: tuple[Fault, ...]
    most_mps2: float
    """Bound on acceleration."""
    plan: Command | None
    """Of a plan that may be driven."""


class Monitor:
    name = "monitor"
    deadline_ms = MONITOR_MS

    def __init__(self, recovery: Recovery | None = None) -> None:
        self.error: str | None = None
        """What the monitor itself failed with in its last step."""
        self.belief = Belief()
        self._modes = Modes(recovery)
        self._watchdog, self._stages, self._streams = Watchdog(), Stages(), Streams()
        self._ego, self._around = EgoCheck(), Surroundings()
        self._course, self._blind = PlanCourse(), BlindSensors()
        self._blinded: frozenset[str] = frozenset()
        self._command = Command(0.0, 0.0)
        self._planned_us: int | None = None
        self._road: Road | None = None
        self._tracks: Tracks | None = None

    def step(self, given: Watched) -> Verdict:
        """Never raises: what goes wrong here ends in the emergency stop."""
        self.error = None
        try:
            return self._judge(given)
        except Exception as why:
            self.error = f"{type(why).__name__}: {why}"
            return self._failed(given)

    def _judge(self, given: Watched) -> Verdict:
        now = given.t_us
        self.belief.move_on(now, self._command)
        faults = self._ego.step(given.ego, now, self.belief)
        found = self._look(given, faults)
        state = self.belief.state_6
        speed = float(state[SPEED]) if state is not None else np.inf
        mode = self._modes.step(now, found.faults, speed)
        command = self._act(mode, found, given)
        command, beyond = within_limits(command, now)
        self._command, self._road = command, given.road
        return Verdict(now, mode, command, found.faults + tuple(beyond))

    def _look(self, given: Watched, faults: list[Fault]) -> _Found:
        now, state = given.t_us, self.belief.state_6
        wrong, unusable = self._streams.step(given)
        faults += wrong + self._watchdog.step(given, self._blinded)
        plan = None
        if given.plan is not None:
            told = check_plan(given.plan, now, state)
            faults += told
            if any(fault.code in UNUSABLE for fault in told):
                unusable |= {"plan"}
            else:
                plan = given.plan
        faults += self._stages.step(given, unusable)
        bounds = [Bound(np.inf, ())]
        tracks = self._known(given, "tracks" in unusable)
        if state is not None:
            if tracks is not None:
                around = self._around.step(given.road, state, tracks, plan)
                sure_N = [sure(one) for one in around.others]
                bounds += [rss(around, now, sure_N), one_source(around, now)]
                if plan is not None:
                    bounds.append(self._course.step(plan, around, sure_N, now))
                self._blinded = self._blind.step(around, now)
                d = around.ego_d
            else:
                d = float(given.road.to_road(state[None, [X, Y]])[1][0])
            faults += _off_lanes(given.road, d, now)
        for bound in bounds:
            faults += bound.faults
        return _Found(
            tuple(faults), min(bound.accel_mps2 for bound in bounds), plan.command if plan is not None else None
        )

    def _known(self, given: Watched, unusable: bool) -> Tracks | None:
        """This tick's tracks, or the last ones, moved on, while they are not too old."""
        if given.tracks is not None and not unusable:
            self._tracks = given.tracks
            return given.tracks
        last = self._tracks
        if last is None or given.t_us - last.t_us > TRACKS_US:
            return None
        mean = last.mean_N4.copy()
        mean[:, :2] += (given.t_us - last.t_us) / 1e6 * mean[:, 2:]
        return replace(last, t_us=given.t_us, mean_N4=mean)

    def _act(self, mode: Mode, found: _Found, given: Watched) -> Command:
        state, last = self.belief.state_6, self._command
        if mode == Mode.EMERGENCY:
            return emergency_stop(given.road, state, last)
        if mode == Mode.STOPPED:
            return Command(-HOLD_MPS2, 0.0)
        if found.plan is not None:
            self._planned_us = given.t_us
            most = found.most_mps2
            if mode == Mode.MINIMAL_RISK:
                most = min(most, comfortable_brake(last))
            return Command(min(found.plan.accel_mps2, most), found.plan.curvature_per_m)
        if self._planned_us is not None and given.t_us - self._planned_us <= HOLD_US and mode < Mode.MINIMAL_RISK:
            return Command(min(last.accel_mps2, found.most_mps2, 0.0), last.curvature_per_m)
        stop = comfortable_stop(given.road, state, last)
        return Command(min(stop.accel_mps2, found.most_mps2), stop.curvature_per_m)

    def _failed(self, given: Watched) -> Verdict:
        now = getattr(given, "t_us", 0)
        fault = Fault("MONITOR_FAILED", now, "monitor", str(self.error))
        mode = Mode.EMERGENCY
        try:
            self.belief.move_on(now, self._command)
            self._command = emergency_stop(self._road, self.belief.state_6, self._command)
            speed = float(self.belief.state_6[SPEED]) if self.belief.state_6 is not None else np.inf
            mode = self._modes.step(now, [fault], speed)
        except Exception:  # nothing is left but the brakes
            self._command = Command(-9.0, 0.0)
        return Verdict(now, max(mode, Mode.EMERGENCY), self._command, (fault,))


def _off_lanes(road: Road, d: float, now: int) -> list[Fault]:
    out = max(HALF_WIDE - d, d + HALF_WIDE - (road.lanes - road.oncoming) * road.lane_width_m)
    if out <= OFF_LANES_M:
        return []
    return [Fault("OFF_LANES", now, "ego", f"{out:.1f} m beyond the edge of its lanes")]
