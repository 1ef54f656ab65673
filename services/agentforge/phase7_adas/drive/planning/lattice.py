"""The lattice: ways along the road (speeds, stops, following) times ways across it (lateral offsets by length)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentforge.phase7_adas.drive.planning.frenet import Beside, Driven, driven
from agentforge.phase7_adas.drive.planning.line import Line
from agentforge.phase7_adas.drive.planning.obstacles import TIMES_J
from agentforge.phase7_adas.drive.planning.polynomials import Batch, Motion1, quartic, quintic, together
from agentforge.phase7_adas.drive.planning.settings import Settings
from agentforge.phase7_adas.drive.truth import Floats

SPEED_PARTS = (0.0, 0.3, 0.55, 0.8, 1.0)
HORIZONS_S = (1.5, 3.0, 5.0)
FOLLOW_S = (2.0, 3.5, 5.0, 7.0)
BRAKES_MPS2 = (1.5, 2.5, 4.0, 5.5, 7.5)
"""Greatest deceleration of the stops."""
OFFSETS_M = (-0.45, 0.0, 0.45)
"""About the middle of a lane."""
LENGTHS_S = (2.5, 4.5)
SHORTEST_M = (10.0, 22.0)


@dataclass(frozen=True)
class Lattice:
    """A ways along, B ways across, J instants (TIMES_J). Arrays (A, B, J) are of all pairs."""

    along: Batch
    across: Batch
    end_B: Floats
    """Where each way across ends, d."""
    s: Motion1
    d_ABJ: Floats
    d1_ABJ: Floats
    d2_ABJ: Floats
    body: Driven
    bend_AJ: Floats


@dataclass(frozen=True)
class Lead:
    """What is to be followed: its rear end, its speed."""

    rear_s: float
    speed_mps: float


def speeds(start_3: Floats, target_mps: float) -> Batch:
    """To a part of the wanted speed, and to the present one, in several horizons."""
    targets = sorted(
        {round(part * target_mps, 3) for part in SPEED_PARTS} | {round(min(start_3[1], target_mps), 3)}
    )
    end, long = np.meshgrid(np.array(targets), np.array(HORIZONS_S), indexing="ij")
    return quartic(start_3, np.stack([end.ravel(), np.zeros(end.size)], axis=1), long.ravel())


def stops(start_3: Floats) -> Batch:
    """The deceleration of a quartic to standstill has its peak at 1.5 v / T."""
    long = np.maximum(1.5 * start_3[1] / np.array(BRAKES_MPS2), 0.4)
    return quartic(start_3, np.zeros((len(long), 2)), long)


def follows(start_3: Floats, leads: list[Lead], half_m: float, by: Settings) -> Batch:
    """To the wanted distance behind each lead at its speed."""
    count = len(leads) * len(FOLLOW_S)
    end, long = np.zeros((count, 3)), np.tile(np.array(FOLLOW_S), len(leads))
    for row, lead in enumerate(leads):
        rows = slice(row * len(FOLLOW_S), (row + 1) * len(FOLLOW_S))
        wanted = wanted_gap(np.array([lead.speed_mps]), np.array([lead.speed_mps]), by)[0]
        end[rows, 0] = lead.rear_s + lead.speed_mps * long[rows] - wanted - half_m
        end[rows, 1] = lead.speed_mps
    return quintic(start_3, end, long)


def wanted_gap(ego_mps: Floats, lead_mps: Floats, by: Settings) -> Floats:
    return needed_gap(ego_mps, lead_mps, by) + by.gap_m + by.time_gap_s * ego_mps


def needed_gap(ego_mps: Floats, lead_mps: Floats, by: Settings) -> Floats:
    """What is needed if the lead brakes with all it has."""
    lead = np.maximum(lead_mps, 0.0)
    ego = ego_mps * by.response_s + ego_mps**2 / (2 * by.ego_brake_mps2)
    return np.maximum(ego - lead**2 / (2 * by.lead_brake_mps2), 0.0)


def sideways(start: Beside, ends_d: Floats, speed_mps: float) -> Batch:
    """Across the road by length of road, so that who stops does not slide sideways."""
    lengths = np.maximum(np.array(LENGTHS_S) * speed_mps, np.array(SHORTEST_M))
    end, long = np.meshgrid(ends_d, lengths, indexing="ij")
    ends = np.zeros((end.size, 3))
    ends[:, 0] = end.ravel()
    return quintic(start.across_3, ends, long.ravel(), begin=float(start.along_3[0]))


def lattice(line: Line, along: Batch, across: Batch) -> Lattice:
    s = along.at(TIMES_J.reshape(1, -1))
    wide, deep = len(along), len(across)
    # (B, A * J): the ways across at the places that the ways along reach
    d = across.at(s.x_CJ.reshape(1, -1))
    shape = (deep, wide, len(TIMES_J))
    d_ABJ, d1_ABJ, d2_ABJ = (
        np.ascontiguousarray(one.reshape(shape).swapaxes(0, 1)) for one in (d.x_CJ, d.v_CJ, d.a_CJ)
    )
    bend = line.curvature(s.x_CJ)
    body = driven(bend[:, None], s.v_CJ[:, None], s.a_CJ[:, None], d_ABJ, d1_ABJ, d2_ABJ)
    end = across.at((across.from_C + across.long_C)[:, None]).x_CJ[:, 0]
    return Lattice(along, across, end, s, d_ABJ, d1_ABJ, d2_ABJ, body, bend)


def with_last(fresh: Batch, last: Batch | None) -> Batch:
    """What is left of the last plan is a candidate as it is: so a good plan is kept."""
    return fresh if last is None else together(fresh, last)
