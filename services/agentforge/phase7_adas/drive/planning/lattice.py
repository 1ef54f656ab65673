"""The lattice: ways along the road (speeds, stops, following) times ways across it (lateral offsets by length)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentforge.phase7_adas.drive.planning.frenet import Beside, Driven, driven
from agentforge.phase7_adas.drive.planning.line import Line
from agentforge.phase7_adas.drive.planning.obstacles import TIMES_J
from agentforge.phase7_adas.drive.planning.polynomials import Batch, quartic, quintic, together
from agentforge.phase7_adas.drive.planning.settings import Settings
from agentforge.phase7_adas.drive.truth import Floats, Ints

SPEED_PARTS = (0.0, 0.3, 0.55, 0.8, 1.0)
HORIZONS_S = np.array([1.5, 3.0, 5.0])
FOLLOW_S = np.array([2.0, 3.5, 5.0, 7.0])
BRAKES_MPS2 = np.array([1.5, 2.5, 4.0, 5.5, 7.5])
"""Greatest deceleration of the stops."""
OFFSETS_M = (-0.45, 0.0, 0.45)
"""About the middle of a lane."""
LENGTHS_S = np.array([2.5, 4.5])
SHORTEST_M = np.array([10.0, 22.0])


@dataclass(frozen=True)
class Ways:
    """Where and when: A ways along, B ways across, J instants (TIMES_J). Arrays (B, J, A) are of all pairs: the few
    ways across come first, so that what is asked of all pairs is asked of long rows."""

    s_JA: Floats
    v_JA: Floats
    bend_JA: Floats
    d_BJA: Floats
    turn_BJA: Floats
    """Heading less the road's."""

    @property
    def d_JAB(self) -> Floats:
        return self.d_BJA.transpose(1, 2, 0)

    def rows(self, a: Ints) -> Ways:
        """Of these ways along alone."""
        s_JA, v_JA, bend_JA = self.s_JA.take(a, axis=1), self.v_JA.take(a, axis=1), self.bend_JA.take(a, axis=1)
        return Ways(s_JA, v_JA, bend_JA, self.d_BJA.take(a, axis=2), self.turn_BJA.take(a, axis=2))


@dataclass(frozen=True)
class Lattice(Ways):
    end_B: Floats
    """Where each way across ends, d."""
    a_JA: Floats
    jerk_JA: Floats
    body: Driven
    """(B, J, A)."""


@dataclass(frozen=True)
class Lead:
    """What is to be followed: its rear end, its speed."""

    rear_s: float
    speed_mps: float

    def gap(self, by: Settings) -> float:
        """Wanted behind it at its own speed."""
        mps = self.speed_mps
        lead = max(mps, 0.0)
        own, other = mps * by.response_s + mps * mps / (2 * by.ego_brake_mps2), lead * lead
        return max(own - other / (2 * by.lead_brake_mps2), 0.0) + by.gap_m + by.time_gap_s * mps


def speeds_and_stops(start_3: Floats, target_mps: float | None) -> Batch:
    """To a part of the wanted speed, and to the present one, in several horizons; and to standstill, for which
    alone no speed is wanted. The deceleration of a quartic to standstill has its peak at 1.5 v / T.
    """
    to_rest = np.maximum(1.5 * start_3[1] / BRAKES_MPS2, 0.4)
    targets = set()
    if target_mps is not None:
        targets = {round(part * target_mps, 3) for part in SPEED_PARTS} | {round(min(start_3[1], target_mps), 3)}
    count = len(targets) * len(HORIZONS_S)
    end = np.zeros((count + len(to_rest), 2))
    end[:count, 0] = np.repeat(sorted(targets), len(HORIZONS_S))
    return quartic(start_3, end, np.concatenate([HORIZONS_S] * len(targets) + [to_rest]))


def follows(start_3: Floats, leads: list[Lead], half_m: float, by: Settings) -> Batch:
    """To the wanted distance behind each lead at its speed."""
    end = np.zeros((len(leads), len(FOLLOW_S), 3))
    for row, lead in enumerate(leads):
        end[row, :, 0] = lead.rear_s + lead.speed_mps * FOLLOW_S - lead.gap(by) - half_m
        end[row, :, 1] = lead.speed_mps
    return quintic(start_3, end.reshape(-1, 3), np.concatenate([FOLLOW_S[:0]] + [FOLLOW_S] * len(leads)))


def needed_gap(ego_m: Floats, lead_m: Floats) -> Floats:
    """What is needed if the lead brakes with all it has, of the ways that both come until they stand."""
    return np.maximum(ego_m - lead_m, 0.0)


def ego_way(ego_mps: Floats, by: Settings) -> Floats:
    return ego_mps * by.response_s + ego_mps * ego_mps / (2 * by.ego_brake_mps2)


def lead_way(lead_mps: Floats, by: Settings) -> Floats:
    lead = np.maximum(lead_mps, 0.0)
    return lead * lead / (2 * by.lead_brake_mps2)


def wanted_gap(needed_m: Floats, ego_mps: Floats, by: Settings) -> Floats:
    return needed_m + by.gap_m + by.time_gap_s * ego_mps


def sideways(start: Beside, ends_d: Floats, speed_mps: float) -> Batch:
    """Across the road by length of road, so that who stops does not slide sideways."""
    lengths = np.maximum(LENGTHS_S * speed_mps, SHORTEST_M)
    ends = np.zeros((len(ends_d) * len(lengths), 3))
    ends[:, 0] = np.repeat(ends_d, len(lengths))
    return quintic(start.across_3, ends, np.concatenate([lengths] * len(ends_d)), begin=float(start.along_3[0]))


def lattice(line: Line, along: Batch, across: Batch) -> Lattice:
    s = along.over(TIMES_J)
    # (B, J * A): the ways across at the places that the ways along reach
    shape = (len(across), *s.x_JC.shape)
    d, slope, change = (of.reshape(shape) for of in across.over_each(s.x_JC.ravel()))
    bend = line.curvature(s.x_JC)
    body = driven(bend, s.v_JC, s.a_JC, d, slope, change)
    return Lattice(s.x_JC, s.v_JC, bend, d, body.turn, across.ends(), s.a_JC, along.jerk_over(TIMES_J), body)


def with_last(fresh: Batch, last: Batch | None) -> Batch:
    """What is left of the last plan is a candidate as it is: so a good plan is kept."""
    return fresh if last is None else together(fresh, last)
