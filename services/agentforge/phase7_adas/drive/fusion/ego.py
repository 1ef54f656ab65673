"""The ego's own state by IMU and GPS, each put where its stamp belongs, however late it came."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from agentforge.phase7_adas.drive.agent import Motion
from agentforge.phase7_adas.drive.fusion.admission import PAST_US, Admission
from agentforge.phase7_adas.drive.fusion.inertial import (
    BH,
    BIAS_A,
    BIAS_G,
    BX,
    BY,
    NOISE,
    WIDE,
    Belief,
    Noise,
    Push,
    compass_of,
    first_belief,
    forward,
    gps_innovation,
    push_of,
    turn_to,
    with_compass,
    with_gps,
    with_lane,
)
from agentforge.phase7_adas.drive.messages import Ego, LaneFix
from agentforge.phase7_adas.drive.truth import ACCEL, HEADING, YAW_RATE, Floats

GATE: Final = 18.4
"""Of two degrees of freedom: one good reading in 10,000 is refused."""
COMPASS_GATE = LANE_GATE = 15.1
JUMP_M: Final = 6.0
"""However unsure the ego is of itself, a fix further away than this is refused."""
CONTRADICTIONS: Final = 2
COMPASS_CONTRADICTIONS, COMPASS_DOUBTS = 20, 40
"""A refused reading counts four, a taken one takes one back; the second number doubts the gyro."""
DOUBT_VARIANCES: Final = np.array([0.15, 0.06]) ** 2
"""Added to those of heading and gyro bias then."""
LANE_DOUBTS, ACROSS_DOUBT_M = 6, 0.7
"""So many fixes in a row that contradict it let the ego doubt where it is, by so much."""
INNOVATIONS: Final = 10
BIASED: Final = 20.0
"""Mean of the last INNOVATIONS, squared over its variance, two degrees of freedom."""
IMU_SILENT_US: Final = 100_000
GPS_SILENT_US: Final = 1_000_000
UNSURE_M: Final = 2.0
GYRO_BIAS_RADPS: Final = 0.02
UNKNOWN_SIGMA: Final = 1e3
TOLD_OF_BELIEF: Final[Floats] = np.zeros((6, WIDE))
"""The told state's derivative by the belief: rates are what the IMU says less its biases."""
TOLD_OF_BELIEF[:4, :4] = np.eye(4)
TOLD_OF_BELIEF[ACCEL, BIAS_A] = TOLD_OF_BELIEF[YAW_RATE, BIAS_G] = -1.0


@dataclass
class _Event:
    """One admitted reading, and the belief after it. `taken` is settled once, when it is first reached."""

    t_us: int
    imu_9: Floats | None = None
    gps_5: Floats | None = None
    lane: LaneFix | None = None
    taken: bool | None = None
    after: Belief | None = None
    push: Push = (0.0, 0.0)
    compass: float = math.nan


class EgoFilter:
    """Readings of the last PAST_US are kept with the belief after each: a late one is put in, the rest redone."""

    def __init__(self, counts: Counter[str], noise: Noise = NOISE) -> None:
        self.counts, self.noise = counts, noise
        self.admission = Admission(counts)
        self._events: list[_Event] = []
        self._started = False
        self._refused_gps = self._refused_compass = self._refused_lanes = 0
        self._accepted_gps_us = self._imu_us = -(2**62)
        self._innovations: deque[Floats] = deque(maxlen=INNOVATIONS)
        self._lean = 0.0

    def step(self, motion: Motion) -> Ego:
        self.hear(motion)
        return self._ego(motion.t_us)

    def hear(self, motion: Motion) -> None:
        first = self._put_in(motion)
        if not self._started:
            first = self._start()
        if self._started:
            self._redo(first)
            self._forget(motion.t_us)

    def _put_in(self, motion: Motion) -> int:
        """Where the earliest new event stands."""
        first = len(self._events)
        t_us = motion.t_us
        fixes = [(each, self.admission.gps(each, t_us)) for each in motion.gps]
        pushes = [(each, self.admission.imu(each, t_us)) for each in motion.imu]
        new = [_Event(int(each.stamp.taken_us), gps_5=row) for each, row in fixes if row is not None]
        new += [
            _Event(int(each.stamp.taken_us), imu_9=row, push=push_of(row), compass=compass_of(row))
            for each, row in pushes
            if row is not None
        ]
        new += [_Event(each.t_us, lane=each) for each in motion.lanes]
        for event in new:
            if self._started and event.t_us < self._events[0].t_us:
                self.counts["late beyond history"] += 1
                continue
            at = bisect_right(self._events, event.t_us, key=lambda each: each.t_us)
            self._events.insert(at, event)
            first = min(first, at)
            if event.imu_9 is not None:
                self._imu_us = max(self._imu_us, event.t_us)
        return first

    def _start(self) -> int:
        """At the first fix, once the heading is known by compass or by moving."""
        compass = [event.compass for event in self._events]
        heading = next((each for each in reversed(compass) if math.isfinite(each)), math.nan)
        for at, event in enumerate(self._events):
            if event.gps_5 is None:
                continue
            if math.isnan(heading) and math.hypot(event.gps_5[2], event.gps_5[3]) > 2.0:
                heading = math.atan2(event.gps_5[3], event.gps_5[2])
            if math.isfinite(heading):
                event.after, event.taken = first_belief(event.gps_5, heading, self.noise), True
                self._accepted_gps_us = event.t_us
                self._events = self._events[at:]
                self._started = True
                return 1
        self._events = self._events[-64:]
        return len(self._events)

    def _redo(self, first: int) -> None:
        for at in range(max(first, 1), len(self._events)):
            before, event = self._events[at - 1], self._events[at]
            assert before.after is not None
            if event.imu_9 is None:
                event.push = before.push
            belief = forward(before.after, event.push, (event.t_us - before.t_us) / 1e6, self.noise)
            if event.gps_5 is not None:
                belief = self._gps(belief, event)
            if not math.isnan(event.compass):
                belief = self._compass(belief, event)
            if event.lane is not None:
                belief = self._lane(belief, event)
            event.after = belief

    def _gps(self, belief: Belief, event: _Event) -> Belief:
        assert event.gps_5 is not None
        innovation = gps_innovation(belief, event.gps_5, self.noise)
        if event.taken is None:
            off, spread, _ = innovation
            place = float(off[:2] @ np.linalg.solve(spread[:2, :2], off[:2]))
            speed = float(off[2:] @ np.linalg.solve(spread[2:, 2:], off[2:]))
            event.taken = place <= GATE and speed <= GATE and math.hypot(off[0], off[1]) <= JUMP_M
            self._refused_gps = 0 if event.taken else self._refused_gps + 1
            if event.taken:
                self._innovations.append(off[:2] / np.sqrt(np.diag(spread)[:2]))
                self._lean = self._leaning()
                self._accepted_gps_us = max(self._accepted_gps_us, event.t_us)
            else:
                self.counts["gps/gate"] += 1
        return with_gps(belief, innovation) if event.taken else belief

    def _compass(self, belief: Belief, event: _Event) -> Belief:
        after, off = with_compass(belief, event.compass, self.noise)
        if event.taken is None:
            event.taken = off <= COMPASS_GATE
            # half of the readings pass where it is off by just the gate: refusals weigh more
            self._refused_compass = max(self._refused_compass - 1, 0) if event.taken else self._refused_compass + 4
            if not event.taken:
                self.counts["imu/compass gate"] += 1
            if self._refused_compass >= COMPASS_DOUBTS:
                self._refused_compass = COMPASS_CONTRADICTIONS
                # Gyro and compass disagree for long, and the compass cannot drift: the gyro may be off by anything.
                self.counts["ego/gyro doubted"] += 1
                belief[1][[BH, BIAS_G], [BH, BIAS_G]] += DOUBT_VARIANCES
        return after if event.taken else belief

    def _lane(self, belief: Belief, event: _Event) -> Belief:
        assert event.lane is not None
        after, off = with_lane(belief, event.lane)
        if event.taken is None:
            event.taken = off <= LANE_GATE
            self.counts["lanes/taken" if event.taken else "lanes/gate"] += 1
            self._refused_lanes = 0 if event.taken else self._refused_lanes + 1
            if self._refused_lanes >= LANE_DOUBTS:
                # Paint does not move: what led the ego astray is its heading, or a gyro that is off by anything.
                self._refused_lanes = 0
                self.counts["ego/across doubted"] += 1
                belief[1][[BX, BY], [BX, BY]] += ACROSS_DOUBT_M**2
                belief[1][[BH, BIAS_G], [BH, BIAS_G]] += DOUBT_VARIANCES
        return after if event.taken else belief

    def _forget(self, t_us: int) -> None:
        keep = bisect_right(self._events, t_us - PAST_US, key=lambda each: each.t_us)
        del self._events[: max(0, min(keep, len(self._events)) - 1)]

    def _ego(self, t_us: int) -> Ego:
        if not self._started:
            return Ego(t_us, np.zeros(6), np.eye(6) * UNKNOWN_SIGMA**2, False, ("no fix yet",))
        last = self._events[-1]
        assert last.after is not None
        mean, cov = forward(last.after, last.push, (t_us - last.t_us) / 1e6, self.noise)
        if not (np.isfinite(mean).all() and np.isfinite(cov).all()):
            self.counts["ego/lost"] += 1
            self._started, self._events = False, []
            return Ego(t_us, np.zeros(6), np.eye(6) * UNKNOWN_SIGMA**2, False, ("the filter lost itself",))
        state = np.zeros(6)
        state[:4] = mean[:4]
        state[HEADING] = turn_to(float(mean[BH]))
        silent = t_us - self._imu_us > IMU_SILENT_US
        state[ACCEL] = 0.0 if silent else last.push[0] - mean[BIAS_A]
        state[YAW_RATE] = 0.0 if silent else last.push[1] - mean[BIAS_G]
        full = TOLD_OF_BELIEF @ cov @ TOLD_OF_BELIEF.T
        full[ACCEL, ACCEL] += self.noise.coasting_accel_mps2**2 if silent else self.noise.accel_mps2**2
        full[YAW_RATE, YAW_RATE] += self.noise.coasting_gyro_radps**2 if silent else self.noise.gyro_radps**2
        reasons = self._reasons(t_us, mean, cov)
        return Ego(t_us, state, full, not reasons, reasons)

    def _leaning(self) -> float:
        """How far the last fixes lie to one side, squared over its variance."""
        if len(self._innovations) < INNOVATIONS:
            return 0.0
        middle = np.mean(self._innovations, axis=0) * math.sqrt(INNOVATIONS)
        return float(middle @ middle)

    def _reasons(self, t_us: int, mean: Floats, cov: Floats) -> tuple[str, ...]:
        found = {
            "imu silent": t_us - self._imu_us > IMU_SILENT_US,
            "imu frozen": "imu" in self.admission.frozen,
            "gps silent": t_us - self._accepted_gps_us > GPS_SILENT_US,
            "gps frozen": "gps" in self.admission.frozen,
            "gps contradicts the ego": self._refused_gps >= CONTRADICTIONS,
            "gps is off to one side": self._lean > BIASED,
            "compass contradicts the ego": self._refused_compass >= COMPASS_CONTRADICTIONS,
            "gyro bias beyond belief": abs(float(mean[BIAS_G])) > GYRO_BIAS_RADPS,
            "position unsure": math.sqrt(max(float(cov[0, 0]), float(cov[1, 1]))) > UNSURE_M,
        }
        return tuple(sorted(reason for reason, holds in found.items() if holds))
