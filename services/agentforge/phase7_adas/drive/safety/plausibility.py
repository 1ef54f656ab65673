"""Can it be? The ego's state, detections, tracks and predictions against themselves and against time."""

from __future__ import annotations

from typing import Final

import numpy as np

from agentforge.phase7_adas.drive.agent import Watched
from agentforge.phase7_adas.drive.messages import VX, VY, Detections, Ego, Fault, Tracks
from agentforge.phase7_adas.drive.safety.belief import Belief
from agentforge.phase7_adas.drive.safety.numbers import numbers
from agentforge.phase7_adas.drive.truth import HEADING, SPEED, Floats, X, Y

JUMP_M, JUMP_RAD, JUMP_MPS = 1.0, 0.15, 1.5
"""More than this beside where the motion led, within one tick."""
DRIFT_MPS: Final = 0.5
"""How fast the belief may go wrong while it is not told."""
AGAIN_US: Final = 1_500_000
"""A state that jumped is believed again after this long without another jump."""
LOST_US: Final = 1_000_000
UNTRUSTED_US: Final = 2_000_000
"""Localisation that does not trust itself still goes on by the IMU for a while."""
FROZEN_TIMES: Final = 3
TELEPORT_M, TELEPORT_S = 2.5, 0.15
OLD_ENOUGH_US: Final = 300_000
MOVES_MPS: Final = 1.0


class EgoCheck:
    """Whether this tick's ego state may be believed; keeps the belief."""

    def __init__(self) -> None:
        self._last: Ego | None = None
        self._same = 0
        self._steady_us: int | None = None
        self._began_us: int | None = None

    def step(self, ego: Ego, now: int, belief: Belief) -> list[Fault]:
        """`belief` has been moved on to now; it is told the state if that can be."""
        if self._began_us is None:
            self._began_us = now
        code, fact = self._wrong(ego, belief)
        faults = [Fault(code, now, "ego", fact)] if code else []
        if code in ("EGO_NOT_NUMBER", "EGO_FROZEN"):
            self._steady_us = None
        if not code or (code == "EGO_JUMP" and self._steady(ego, now) and ego.trusted):
            belief.tell(now, ego.state_6)
            self._steady_us = None
        elif code == "EGO_UNTRUSTED" and belief.state_6 is None:
            belief.tell(now, ego.state_6)  # better than nothing, and told as a fault
        self._last = ego
        since = now - (belief.told_us if belief.state_6 is not None else self._began_us)
        if code and since >= (UNTRUSTED_US if code == "EGO_UNTRUSTED" else LOST_US):
            faults.append(Fault("EGO_LOST", now, "ego", f"no trusted state for {since / 1e6:.1f} s"))
        return faults

    def _wrong(self, ego: Ego, belief: Belief) -> tuple[str, str]:
        state = ego.state_6
        if state.shape != (6,) or not numbers(state):
            return "EGO_NOT_NUMBER", f"state {state!r}"
        last = self._last
        self._same = self._same + 1 if last is not None and last.state_6.tolist() == state.tolist() else 0
        if not ego.trusted:
            return "EGO_UNTRUSTED", "; ".join(ego.reasons)
        if self._same >= FROZEN_TIMES and abs(state[SPEED]) > MOVES_MPS:
            return "EGO_FROZEN", f"the same {self._same + 1} times at {state[SPEED]:.1f} m/s"
        if belief.state_6 is not None and (fact := _jumped(state, belief.state_6, belief.age_us)):
            return "EGO_JUMP", fact
        return "", ""

    def _steady(self, ego: Ego, now: int) -> bool:
        """After a jump: has it been consistent with itself since?"""
        last = self._last
        if last is None or last.state_6.shape != (6,) or not numbers(last.state_6):
            return False
        dt = max((ego.t_us - last.t_us) / 1e6, 0.0)
        way = dt * last.state_6[SPEED] * np.array([np.cos(last.state_6[HEADING]), np.sin(last.state_6[HEADING])])
        if np.hypot(*(ego.state_6[[X, Y]] - last.state_6[[X, Y]] - way)) > JUMP_M:
            self._steady_us = now
        if self._steady_us is None:
            self._steady_us = now
        return now - self._steady_us >= AGAIN_US


def _jumped(state_6: Floats, believed_6: Floats, age_us: int) -> str:
    grace = DRIFT_MPS * age_us / 1e6
    beside = [told - believed for told, believed in zip(state_6.tolist(), believed_6.tolist(), strict=True)]
    off = float(np.hypot(beside[X], beside[Y]))
    turn = abs(float(np.arctan2(np.sin(beside[HEADING]), np.cos(beside[HEADING]))))
    faster = abs(beside[SPEED])
    if off > JUMP_M + grace:
        return f"{off:.1f} m beside where its motion led"
    if turn > JUMP_RAD + grace:
        return f"{turn:.2f} rad beside the heading that its motion led to"
    if faster > JUMP_MPS + 2 * grace:
        return f"{faster:.1f} m/s beside the speed that its motion led to"
    return ""


class Streams:
    """Detections, tracks and predictions. What is unusable is told by name."""

    def __init__(self) -> None:
        self._detections: Detections | None = None
        self._same_detections = 0
        self._tracks: Tracks | None = None
        self._same_tracks = 0

    def step(self, given: Watched) -> tuple[list[Fault], frozenset[str]]:
        faults: list[Fault] = []
        unusable: set[str] = set()
        now = given.t_us
        if given.detections is not None:
            faults += self._check_detections(given.detections, now)
        if given.tracks is not None:
            found = self._check_tracks(given.tracks, now)
            faults += found
            if any(fault.code in ("TRACKS_NOT_NUMBER", "TRACKS_FROZEN") for fault in found):
                unusable.add("tracks")
        if given.predictions is not None:
            told = given.predictions
            if not numbers(told.xy_NKT2, told.probability_NK, told.sigma_NKT):
                faults.append(Fault("PREDICTIONS_NOT_NUMBER", now, "predictions", "not all are numbers"))
                unusable.add("predictions")
        return faults, frozenset(unusable)

    def _check_detections(self, told: Detections, now: int) -> list[Fault]:
        last, self._detections = self._detections, told
        if not numbers(told.xy_N2, told.cov_N22, told.size_N3):
            return [Fault("DETECTIONS_NOT_NUMBER", now, "detections", "not all are numbers")]
        if last is None or last.t_us == told.t_us:
            return []
        same = len(told.xy_N2) > 0 and last.xy_N2.tolist() == told.xy_N2.tolist()
        self._same_detections = self._same_detections + 1 if same else 0
        if self._same_detections >= FROZEN_TIMES:
            fact = f"the same {len(told.xy_N2)} detections {self._same_detections + 1} times"
            return [Fault("DETECTIONS_FROZEN", now, "detections", fact)]
        return []

    def _check_tracks(self, told: Tracks, now: int) -> list[Fault]:
        last = self._tracks
        if not numbers(told.mean_N4, told.size_N3, told.existence_N):
            return [Fault("TRACKS_NOT_NUMBER", now, "tracks", "not all are numbers")]
        self._tracks = told
        if last is None or last.t_us == told.t_us:
            return []
        same = last.mean_N4.tolist() == told.mean_N4.tolist() and _some_move(told)
        self._same_tracks = self._same_tracks + 1 if same else 0
        if self._same_tracks >= FROZEN_TIMES:
            return [
                Fault("TRACKS_FROZEN", now, "tracks", f"the same {self._same_tracks + 1} times though some move")
            ]
        return _teleports(last, told, now)


def _some_move(told: Tracks) -> bool:
    return bool((np.hypot(told.mean_N4[:, VX], told.mean_N4[:, VY]) > MOVES_MPS).any())


def _teleports(last: Tracks, told: Tracks, now: int) -> list[Fault]:
    dt = (told.t_us - last.t_us) / 1e6
    if not 0 < dt < 1.0:
        return []
    before = dict(
        zip(last.id_N.tolist(), zip(last.mean_N4.tolist(), last.age_us_N.tolist(), strict=True), strict=True)
    )
    faults = []
    for track, (x, y, _, _) in zip(told.id_N.tolist(), told.mean_N4.tolist(), strict=True):
        if track not in before:
            continue
        (px, py, vx, vy), age_us = before[track]
        dx, dy = x - px - dt * vx, y - py - dt * vy
        if age_us <= OLD_ENOUGH_US or abs(dx) + abs(dy) < TELEPORT_M:
            continue  # the way is never longer than both its sides: for most tracks no root is needed
        # numpy's, here and elsewhere: math's differs in the last bit
        off = float(np.hypot(dx, dy))
        if off > TELEPORT_M + TELEPORT_S * float(np.hypot(vx, vy)):
            faults.append(Fault("TRACK_TELEPORT", now, f"track {track}", f"{off:.1f} m beside where it was going"))
    return faults
