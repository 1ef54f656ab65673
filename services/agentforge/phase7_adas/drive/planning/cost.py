"""What a candidate costs: time lost, discomfort, wrong lane, small distances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentforge.phase7_adas.drive.planning.collision import Contacts
from agentforge.phase7_adas.drive.planning.lattice import Lattice
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.truth import Floats


@dataclass(frozen=True)
class Weights:
    """Per unit of each term, in one currency: one m/s slower than could be, for the whole horizon, costs one."""

    slow: float = 1.0
    fast: float = 4.0
    accel: float = 0.12
    jerk: float = 0.05
    side: float = 0.25
    middle: float = 3.0
    route: float = 1.6
    lane_speed: float = 0.5
    change: float = 0.5
    short: float = 25.0
    unsafe: float = 80.0
    beside: float = 0.6
    risk: float = 80.0


WEIGHTS = Weights()


@dataclass(frozen=True)
class Wishes:
    wish_JA: Floats
    """Speed that could be driven at each place that the ways along reach."""
    lane_mps: Floats
    """What each lane of the ego's way allows in the next seconds."""
    lane: int
    """The route's."""
    last_d: float | None
    """Where the last plan ended."""


def costs(lattice: Lattice, road: Road, wishes: Wishes, weights: Weights = WEIGHTS) -> Floats:
    """(A, B), of everything but who is near: what a candidate costs at least."""
    body, steps = lattice.body, len(lattice.s_JA)

    def mean(of: Floats) -> Floats:
        return np.asarray(of.sum(axis=0) / steps)

    def mean_AB(of_BJA: Floats) -> Floats:
        return np.asarray(of_BJA.sum(axis=1).T / steps)

    over = lattice.v_JA - wishes.wish_JA
    along = weights.slow * mean(np.maximum(-over, 0.0)) + weights.fast * mean(np.maximum(over, 0.0))
    along += weights.accel * mean(lattice.a_JA**2) + weights.jerk * mean(lattice.jerk_JA**2)
    bent = body.curvature - lattice.bend_JA
    bent *= body.speed * body.speed
    bent *= bent
    cost = weights.side * mean_AB(bent)
    cost += along[:, None]
    cost += _across(lattice, road, wishes, weights)
    off = lattice.d_BJA - lattice.end_B[:, None, None]
    cost += mean_AB(np.abs(off, out=off)) * 0.2
    return cost


def near_costs(found: Contacts, weights: Weights = WEIGHTS) -> Floats:
    """(A, B), never negative."""
    near = weights.short * found.short_AB + weights.unsafe * found.unsafe_AB + weights.beside * found.beside_AB
    return np.asarray(near + weights.risk * found.risk_AB)


def _across(lattice: Lattice, road: Road, wishes: Wishes, weights: Weights) -> Floats:
    own = len(wishes.lane_mps)
    lane_B = np.minimum(np.maximum(np.floor(lattice.end_B / road.lane_width_m), 0), own - 1).astype(np.int64)
    off = lattice.end_B - (lane_B + 0.5) * road.lane_width_m
    cost = weights.middle * off**2 + weights.route * np.abs(lane_B - wishes.lane)
    cost += weights.lane_speed * (wishes.lane_mps.max() - wishes.lane_mps[lane_B])
    if wishes.last_d is not None:
        cost += weights.change * np.minimum(np.abs(lattice.end_B - wishes.last_d), 1.5)
    return np.asarray(cost)
