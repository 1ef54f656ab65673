"""The planning agent: one tick from a scene to a plan."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from agentforge.phase7_adas.drive.agent import PLANNING_MS, Scene
from agentforge.phase7_adas.drive.messages import (
    PLAN_ACCEL,
    PLAN_HEADING,
    PLAN_SPEED,
    PLAN_STEP_S,
    PLAN_STEPS,
    PLAN_X,
    PLAN_Y,
    Command,
    Mode,
    Plan,
)
from agentforge.phase7_adas.drive.planning import follow
from agentforge.phase7_adas.drive.planning.cost import Wishes, costs
from agentforge.phase7_adas.drive.planning.emergency import stop
from agentforge.phase7_adas.drive.planning.frenet import Beside, beside, driven
from agentforge.phase7_adas.drive.planning.lattice import (
    OFFSETS_M,
    follows,
    lattice,
    sideways,
    speeds_and_stops,
    with_last,
)
from agentforge.phase7_adas.drive.planning.limits import refusals
from agentforge.phase7_adas.drive.planning.line import Line, beside_line, line_of
from agentforge.phase7_adas.drive.planning.obstacles import TIMES_J, Bools, Obstacles, obstacles, placed
from agentforge.phase7_adas.drive.planning.polynomials import Batch, together
from agentforge.phase7_adas.drive.planning.search import cheapest
from agentforge.phase7_adas.drive.planning.settings import BY_MODE, EGO_LENGTH_M, Settings
from agentforge.phase7_adas.drive.planning.unseen import Unseen
from agentforge.phase7_adas.drive.planning.wishes import envelope, lane_speeds, leads
from agentforge.phase7_adas.drive.truth import SPEED, Floats, X, Y

TIMES_T = np.asarray(np.arange(PLAN_STEPS) * PLAN_STEP_S, dtype=np.float64)
OLDEST_S = 0.3
CALM_MPS2 = 2.0
"""Of the stop of minimal risk."""
NEAR_S_M, NEAR_D_M, NEAR_MPS = 1.2, 0.35, 1.2
"""An ego this near to its last plan goes on from the plan, not from its measured state, which is noisy."""


@dataclass(frozen=True)
class _Last:
    t_us: int
    along: Batch
    across: Batch
    command: Command


@dataclass(frozen=True)
class _Chosen:
    along: Batch
    across: Batch
    feasible: bool
    candidates: int
    refused: dict[str, int]
    cost: float


class Planning:
    """States of a plan begin at its `t_us`: row k is at t_us + k x PLAN_STEP_S."""

    name = "planning"
    deadline_ms = PLANNING_MS

    def __init__(self) -> None:
        self._last: _Last | None = None
        self._unseen = Unseen()
        self.error: str | None = None
        """Why the last step gave a stop instead of a plan, if it was for bad input or a fault of its own."""

    def step(self, given: Scene) -> Plan:
        self.error = None
        try:
            _refuse_garbage(given)
            with np.errstate(invalid="raise", divide="raise", over="raise"):
                return self._plan(given)
        except Exception as why:  # the pipeline must have a plan: standing is one
            self.error = f"{type(why).__name__}: {why}"
            self._last = None
            return _blind_stop(given)

    def _plan(self, given: Scene) -> Plan:
        line, by = line_of(given.road), BY_MODE[given.mode]
        start, last = self._start(given, line)
        ego_s, ego_mps = float(start.along_3[0]), float(start.along_3[1])
        at = placed(line, given.tracks)
        self._unseen.step(given.t_us, given.tracks, line, ego_s, at)
        barred = self._unseen.barred(given.t_us, ego_s, ego_mps, given.road.lane_width_m)
        around = obstacles(line, ego_s, float(start.across_3[0]), given.tracks, given.predictions, by, at)
        if given.mode in (Mode.EMERGENCY, Mode.STOPPED):
            along, across, free = stop(line, start, around, by, hardest=True)
            chosen = _Chosen(along, across, free, 5, {}, float("nan"))
        else:
            chosen = _choose(given, line, start, last, around, by, barred)
        states, curvature = sampled(line, chosen.along, chosen.across)
        before = self._last.command if self._last is not None else None
        command = follow.command(states, curvature, given.ego.state_6, 0.0, before)
        self._last = _Last(given.t_us, chosen.along, chosen.across, command)
        return Plan(given.t_us, states, command, chosen.feasible, chosen.candidates, chosen.refused, chosen.cost)

    def _start(self, given: Scene, line: Line) -> tuple[Beside, _Last | None]:
        """From the last plan where the ego is near it, else from the ego; with what is left of the last plan."""
        ego_6, last = given.ego.state_6, self._last
        since = (given.t_us - last.t_us) / 1e6 if last is not None else 0.0
        if last is None or not 0 < since <= OLDEST_S:
            near = float(line.road.to_road(ego_6[None, [X, Y]])[0][0])
            return beside(line, ego_6, near), None
        along = last.along.state(since)
        planned = Beside(np.array(along), np.array(last.across.state(along[0])))
        measured = beside(line, ego_6, float(planned.along_3[0]))
        off = np.abs(measured.along_3 - planned.along_3)
        if off[0] > NEAR_S_M or off[1] > NEAR_MPS or abs(measured.across_3[0] - planned.across_3[0]) > NEAR_D_M:
            return measured, None
        shifted = replace(last.along, from_C=last.along.from_C - since)
        return planned, replace(last, along=shifted)


def _choose(
    given: Scene, line: Line, start: Beside, last: _Last | None, around: Obstacles, by: Settings, barred: set[int]
) -> _Chosen:
    road, ego_s, ego_d = given.road, float(start.along_3[0]), float(start.across_3[0])
    own = road.lanes - road.oncoming
    route, lane_now = min(max(given.lane, 0), own - 1), min(max(int(ego_d // road.lane_width_m), 0), own - 1)
    places, allowed = envelope(line, ego_s, float(start.along_3[1]), road.lane_centre_d(lane_now), around, by)
    free_mps = float(np.interp(ego_s, places, allowed))
    ahead = leads(line, ego_s, around)
    brings_to_rest = given.mode == Mode.MINIMAL_RISK
    ends = _ends(road.lane_width_m, own, lane_now, only_here=brings_to_rest)
    across = with_last(sideways(start, ends, float(start.along_3[1])), last.across if last else None)
    fresh = speeds_and_stops(start.along_3, None if brings_to_rest else max(free_mps, 0.5))
    followed = [one for one in ahead if one is not None]
    if followed and not brings_to_rest:
        fresh = together(fresh, follows(start.along_3, followed, EGO_LENGTH_M / 2, by))
    along = with_last(fresh, last.along if last else None)
    made = lattice(line, along, across)
    bad = np.zeros((len(along), len(across)), dtype=bool)
    taken_B = _goes_to(made.end_B, barred - {lane_now}, road.lane_width_m)
    tests = refusals(made, road, by) | {"unseen": bad | taken_B}
    for broken in tests.values():
        bad |= broken
    last_d = float(last.across.ends()[0]) if last else None
    if brings_to_rest:
        wish = np.maximum(start.along_3[1] - CALM_MPS2 * TIMES_J, 0.0)[:, None]
    else:
        wish = np.interp(made.s_JA, places, allowed)
    wishes = Wishes(wish, lane_speeds(ahead, ego_s, free_mps, by), route, last_d)
    least = np.where(bad, np.inf, costs(made, road, wishes))
    cost, hits = cheapest(made, least, ego_s, ego_d, around, by)
    refused = {"collision": hits} | {name: int(np.count_nonzero(broken)) for name, broken in tests.items()}
    row, column = divmod(int(np.argmin(cost)), cost.shape[1])
    if not np.isfinite(cost[row, column]):
        brake, aside, _ = stop(line, start, around, by, hardest=False)
        return _Chosen(brake, aside, False, cost.size, refused, float("nan"))
    return _Chosen(along.row(row), across.row(column), True, cost.size, refused, float(cost[row, column]))


def _goes_to(end_B: Floats, lanes: set[int], width_m: float) -> Bools:
    """(B,): ways across that end in one of these lanes."""
    if not lanes:
        return np.zeros(len(end_B), dtype=bool)
    return np.isin(end_B // width_m, list(lanes))


def _ends(width_m: float, own: int, here: int, only_here: bool) -> Floats:
    """Where ways across end: about the middle of this lane, and in the middles of its neighbours."""
    beside = [] if only_here else [lane for lane in (here - 1, here + 1) if 0 <= lane < own]
    middles = [(lane + 0.5) * width_m for lane in beside]
    return np.array([(here + 0.5) * width_m + offset for offset in OFFSETS_M] + middles)


def sampled(line: Line, along: Batch, across: Batch) -> tuple[Floats, Floats]:
    """Plan.states_T5 and the path's curvature of one motion."""
    s_T, speed, accel = (of[0] for of in along.over_each(TIMES_T))
    d, slope, change = (of[0] for of in across.over_each(s_T))
    x, y, heading, bend = line.frame(s_T)
    body = driven(bend, np.maximum(speed, 0.0), accel, d, slope, change)
    states = np.empty((PLAN_STEPS, 5))
    states[:, PLAN_X], states[:, PLAN_Y] = beside_line(x, y, heading, d)
    states[:, PLAN_HEADING] = heading + body.turn
    states[:, PLAN_SPEED], states[:, PLAN_ACCEL] = body.speed, body.accel
    return states, body.curvature


def _refuse_garbage(given: Scene) -> None:
    finite = {
        "ego": given.ego.state_6,
        "tracks": given.tracks.mean_N4,
        "sizes of tracks": given.tracks.size_N3,
        "existence of tracks": given.tracks.existence_N,
        "predictions": given.predictions.xy_NKT2,
        "probabilities": given.predictions.probability_NK,
        "sigmas": given.predictions.sigma_NKT,
    }
    for name, array in finite.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: not all are numbers")


def _blind_stop(given: Scene) -> Plan:
    """Straight on at the hardest brake, from what is known of the ego; from rest at the origin if nothing is."""
    ego = given.ego.state_6
    ego = ego if ego.shape == (6,) and np.isfinite(ego).all() else np.zeros(6)
    speed = np.maximum(ego[SPEED] - 8.5 * TIMES_T, 0.0)
    way = np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 2 * PLAN_STEP_S)])
    states = np.stack(
        [ego[X] + way * np.cos(ego[2]), ego[Y] + way * np.sin(ego[2]), np.full(PLAN_STEPS, ego[2]), speed,
         np.where(speed > 0, -8.5, 0.0)], axis=1,
    )  # fmt: skip
    return Plan(given.t_us, states, Command(-8.5, 0.0), False, 0)
