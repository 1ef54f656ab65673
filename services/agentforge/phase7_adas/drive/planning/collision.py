"""Candidates against boxes over time: first by extents along the road, then the few that are left exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.planning.lattice import Lattice, needed_gap, wanted_gap
from agentforge.phase7_adas.drive.planning.obstacles import Obstacles
from agentforge.phase7_adas.drive.planning.settings import EGO_LENGTH_M, EGO_WIDTH_M, Settings
from agentforge.phase7_adas.drive.truth import Floats, Ints

HALF_LONG, HALF_WIDE = EGO_LENGTH_M / 2, EGO_WIDTH_M / 2
LEFT_OF_GAP = 0.6
"""Inflation never takes more than this part of the gap that there is now: who stands close may stand on."""
BESIDE_M = 1.2
"""Nearer than this at the side costs speed."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Contacts:
    """Of A ways along with B ways across."""

    hit_at_AB: Floats
    """Index of the first instant with a collision with what is likely enough; infinite without."""
    risk_AB: Floats
    """Part of the time in collision with unlikely ways, by their probability."""
    short_AB: Floats
    """Missing part of the wanted distance, squared, mean over time, of the worst obstacle, by its probability."""
    unsafe_AB: Floats
    """The same of the distance that the brakes need."""
    beside_AB: Floats
    """Speed past what is near at the side, mean over time."""


@dataclass(frozen=True)
class _Near:
    """P triples (obstacle, instant, way along) that are close along the road."""

    m: Ints
    j: Ints
    a: Ints
    apart: Floats
    """Gap along the road; less than nothing where they are level."""
    level: Bools
    """Level with the grown obstacle."""
    behind: Bools
    """Behind it, and nearer than wanted."""
    wanted: Floats
    grown: Floats
    """How much the obstacle is grown at its sides."""


def contacts(lattice: Lattice, ego_s: float, ego_d: float, around: Obstacles, by: Settings) -> Contacts:
    steps, ways, across = lattice.d_JAB.shape
    free = np.zeros((ways, across))
    if len(around) == 0:
        return Contacts(free + np.inf, free, free, free, free)
    grown_s, grown_d = _inflation(around, ego_s, ego_d)
    near = _close(lattice, around, grown_s, grown_d, by)
    p, b, side = _beside(lattice, around, near)
    level, inside = near.level[p], side < near.grown[p]
    one = np.flatnonzero(level & inside)
    hit_at, risk = _hits(lattice, around, grown_s, near, p[one], b[one], by.likely)
    weight = around.weight_M[near.m] / steps
    v_P = lattice.v_JA[near.j, near.a]
    need = needed_gap(v_P, around.speed_MJ[near.m, near.j], by) + 1.0
    missing = np.minimum(1.0 - near.apart / np.maximum(near.wanted, 0.1), 1.5) ** 2 * weight
    lacking = np.minimum(np.maximum(1.0 - near.apart / need, 0.0), 1.5) ** 2 * weight
    tracks, row_M = _rows(around)
    cell = (row_M[near.m[p]] * ways + near.a[p]) * across + b

    def worst(which: Ints, cost: Floats) -> Floats:
        """Summed over time and a track's ways, then the worst track."""
        total = np.bincount(cell[which], cost, tracks * ways * across)
        return np.asarray(total.reshape(tracks, ways, across).max(axis=0))

    follow, past = np.flatnonzero(near.behind[p] & inside), np.flatnonzero(level)
    nearness = np.minimum(np.maximum(1.0 - side[past] / BESIDE_M, 0.0), 1.0) ** 2
    speed = (weight * np.maximum(v_P, 0.0))[p[past]]
    return Contacts(
        hit_at,
        risk,
        worst(follow, missing[p[follow]]),
        worst(follow, lacking[p[follow]]),
        worst(past, nearness * speed),
    )


def _close(lattice: Lattice, around: Obstacles, grown_s: Floats, grown_d: Floats, by: Settings) -> _Near:
    """First by the extents of all candidates at each instant, then by each way along."""
    reach_s, reach_d = around.reach
    s_JA, v_JA, d_JAB = lattice.s_JA, lattice.v_JA, lattice.d_JAB
    least = np.maximum(around.s_MJ - s_JA.max(axis=1), s_JA.min(axis=1) - around.s_MJ)
    far = np.maximum(least, 0.0) - reach_s - HALF_LONG
    most = wanted_gap(np.abs(v_JA).max(axis=1), around.speed_MJ, by)
    aside = np.maximum(around.d_MJ - d_JAB.max(axis=(1, 2)), d_JAB.min(axis=(1, 2)) - around.d_MJ)
    turn = np.abs(lattice.body.turn).max(axis=(1, 2))
    aside = np.maximum(aside, 0.0) - reach_d - HALF_WIDE - HALF_LONG * turn
    level = (far < grown_s) & (aside < np.maximum(grown_d, BESIDE_M))
    m, j = np.nonzero(level | ((far < most) & (aside < grown_d)))
    ahead = around.s_MJ[m, j][:, None] - s_JA[j]  # (K, A)
    gap = np.abs(ahead)
    gap -= reach_s[m, j][:, None]
    gap -= HALF_LONG
    want = wanted_gap(v_JA[j], around.speed_MJ[m, j][:, None], by)
    level, behind = gap < grown_s[m, j][:, None], (ahead > 0) & (gap < want)
    at = np.flatnonzero(level | behind)
    k = at // s_JA.shape[1]
    m, j, a = m[k], j[k], at - k * s_JA.shape[1]
    return _Near(m, j, a, gap.ravel()[at], level.ravel()[at], behind.ravel()[at], want.ravel()[at], grown_d[m, j])


def _beside(lattice: Lattice, around: Obstacles, near: _Near) -> tuple[Ints, Ints, Floats]:
    """Triples and ways across that are close at the side, too, and the gap there; negative: overlapping."""
    m, j, a = near.m, near.j, near.a
    side = lattice.d_JAB[j, a]
    side -= around.d_MJ[m, j][:, None]
    np.abs(side, out=side)
    side -= around.reach[1][m, j][:, None]
    side -= HALF_WIDE
    turn = np.abs(lattice.body.turn[j, a])
    turn *= HALF_LONG
    side -= turn
    wide = np.where(near.level, np.maximum(near.grown, BESIDE_M), near.grown)
    at = np.flatnonzero(side < wide[:, None])
    p = at // side.shape[1]
    return p, at - p * side.shape[1], side.ravel()[at]


def _inflation(around: Obstacles, ego_s: float, ego_d: float) -> tuple[Floats, Floats]:
    reach_s, reach_d = around.reach
    apart_s = np.abs(around.now_M5[:, 0] - ego_s)[:, None] - reach_s[:, :1] - HALF_LONG
    apart_d = np.abs(around.now_M5[:, 1] - ego_d)[:, None] - reach_d[:, :1] - HALF_WIDE
    most_s = np.where(apart_s > apart_d, np.maximum(LEFT_OF_GAP * apart_s, 0.05), np.inf)
    most_d = np.where(apart_d >= apart_s, np.maximum(LEFT_OF_GAP * apart_d, 0.05), np.inf)
    return np.minimum(around.along_MJ, most_s), np.minimum(around.across_MJ, most_d)


def _hits(
    lattice: Lattice, around: Obstacles, grown_s: Floats, near: _Near, p: Ints, b: Ints, likely: float
) -> tuple[Floats, Floats]:
    """The separating axis test of boxes that overlap by their extents: the ego's against the grown obstacle's."""
    steps, ways, across = lattice.d_JAB.shape
    m, a, j = near.m[p], near.a[p], near.j[p]
    d_m, grown = around.d_MJ[m, j], near.grown[p]
    squeeze = np.maximum(1.0 - lattice.bend_JA[j, a] * d_m, 0.2)
    ds, dd = (around.s_MJ[m, j] - lattice.s_JA[j, a]) * squeeze, d_m - lattice.d_JAB[j, a, b]
    own, other = lattice.body.turn[j, a, b], around.turn_MJ[m, j]
    cos_own, sin_own, cos_other, sin_other = np.cos(own), np.sin(own), np.cos(other), np.sin(other)
    level, ahead = np.abs(cos_other) > 0.7, grown_s[m, j]
    long = around.long_M[m] + np.where(level, ahead, grown)
    wide = around.wide_M[m] + np.where(level, grown, ahead)
    cos, sin = np.abs(np.cos(other - own)), np.abs(np.sin(other - own))
    touch = (
        (np.abs(ds * cos_own + dd * sin_own) < HALF_LONG + long * cos + wide * sin)
        & (np.abs(dd * cos_own - ds * sin_own) < HALF_WIDE + long * sin + wide * cos)
        & (np.abs(ds * cos_other + dd * sin_other) < long + HALF_LONG * cos + HALF_WIDE * sin)
        & (np.abs(dd * cos_other - ds * sin_other) < wide + HALF_LONG * sin + HALF_WIDE * cos)
    )
    row, weight, at = (a * across + b)[touch], around.weight_M[m[touch]], j[touch]
    hard = weight >= likely
    first = np.full(ways * across, np.inf)
    np.minimum.at(first, row[hard], at[hard].astype(np.float64))
    risk: Floats = np.bincount(row[~hard], weight[~hard] / steps, ways * across).astype(np.float64)
    return first.reshape(ways, across), risk.reshape(ways, across)


def _rows(around: Obstacles) -> tuple[int, Ints]:
    """How many tracks there are, and each way's among them."""
    there = np.zeros(int(around.track_M.max()) + 1, dtype=np.int64)
    there[around.track_M] = 1
    return int(there.sum()), (np.cumsum(there) - 1)[around.track_M]
