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
class _Pairs:
    """P triples (obstacle, way along, instant) that are close along the road; columns are the ways across."""

    m: Ints
    a: Ints
    j: Ints
    side_PB: Floats
    """Gap at the side; negative: overlapping."""

    def where(self, keep: Bools) -> _Pairs:
        return _Pairs(self.m[keep], self.a[keep], self.j[keep], self.side_PB[keep])


def contacts(lattice: Lattice, ego_s: float, ego_d: float, around: Obstacles, by: Settings) -> Contacts:
    ways, across, steps = lattice.d_ABJ.shape
    free = np.zeros((ways, across))
    if len(around) == 0:
        return Contacts(free + np.inf, free, free, free, free)
    reach_s, reach_d = around.reach()
    grown_s, grown_d = _inflation(around, reach_s, reach_d, ego_s, ego_d)
    s_AJ, v_AJ = lattice.s.x_CJ, lattice.s.v_CJ
    ahead = around.s_MJ[:, None] - s_AJ[None]  # (M, A, J)
    gap = np.abs(ahead) - reach_s[:, None] - HALF_LONG
    want = wanted_gap(v_AJ[None], around.speed_MJ[:, None], by)
    beside = gap < grown_s[:, None]
    behind = (ahead > 0) & (gap < want)
    m, a, j = np.nonzero(beside | behind)
    side = np.abs(lattice.d_ABJ[a, :, j] - around.d_MJ[m, j][:, None]) - reach_d[m, j][:, None] - HALF_WIDE
    pairs = _Pairs(m, a, j, side - HALF_LONG * np.abs(lattice.body.turn_CJ[a, :, j]))
    level = beside[m, a, j]
    hit_at, risk = _hits(lattice, around, grown_s, grown_d, pairs.where(level), by.likely)
    nearness = np.clip(1.0 - pairs.side_PB[level] / BESIDE_M, 0.0, 1.0) ** 2
    past = nearness * (around.weight_M[m[level]] * v_AJ[a[level], j[level]] / steps)[:, None]
    follow = behind[m, a, j]
    near, apart, wanted = pairs.where(follow), gap[m, a, j][follow], want[m, a, j][follow]
    need = needed_gap(v_AJ[near.a, near.j], around.speed_MJ[near.m, near.j], by) + 1.0
    weight = around.weight_M[near.m] / steps
    inside = near.side_PB < grown_d[near.m, near.j][:, None]
    short = (np.clip(1.0 - apart / np.maximum(wanted, 0.1), 0.0, 1.5) ** 2 * weight)[:, None] * inside
    unsafe = (np.clip(1.0 - apart / need, 0.0, 1.5) ** 2 * weight)[:, None] * inside
    return Contacts(
        hit_at,
        risk,
        _worst(short, near, around, ways),
        _worst(unsafe, near, around, ways),
        _worst(past, pairs.where(level), around, ways),
    )


def _inflation(
    around: Obstacles, reach_s: Floats, reach_d: Floats, ego_s: float, ego_d: float
) -> tuple[Floats, Floats]:
    apart_s = np.abs(around.now_M5[:, 0] - ego_s)[:, None] - reach_s[:, :1] - HALF_LONG
    apart_d = np.abs(around.now_M5[:, 1] - ego_d)[:, None] - reach_d[:, :1] - HALF_WIDE
    most_s = np.where(apart_s > apart_d, np.maximum(LEFT_OF_GAP * apart_s, 0.05), np.inf)
    most_d = np.where(apart_d >= apart_s, np.maximum(LEFT_OF_GAP * apart_d, 0.05), np.inf)
    return np.minimum(around.along_MJ, most_s), np.minimum(around.across_MJ, most_d)


def _hits(
    lattice: Lattice, around: Obstacles, grown_s: Floats, grown_d: Floats, pairs: _Pairs, likely: float
) -> tuple[Floats, Floats]:
    """The separating axis test of boxes that overlap by their extents: the ego's against the grown obstacle's."""
    ways, across, steps = lattice.d_ABJ.shape
    p, b = np.nonzero(pairs.side_PB < grown_d[pairs.m, pairs.j][:, None])
    m, a, j = pairs.m[p], pairs.a[p], pairs.j[p]
    squeeze = np.maximum(1.0 - lattice.bend_AJ[a, j] * around.d_MJ[m, j], 0.2)
    ds, dd = (around.s_MJ[m, j] - lattice.s.x_CJ[a, j]) * squeeze, around.d_MJ[m, j] - lattice.d_ABJ[a, b, j]
    own, other = lattice.body.turn_CJ[a, b, j], around.turn_MJ[m, j]
    long = around.long_M[m] + np.where(np.abs(np.cos(other)) > 0.7, grown_s[m, j], grown_d[m, j])
    wide = around.wide_M[m] + np.where(np.abs(np.cos(other)) > 0.7, grown_d[m, j], grown_s[m, j])
    cos, sin = np.abs(np.cos(other - own)), np.abs(np.sin(other - own))
    touch = (
        (np.abs(ds * np.cos(own) + dd * np.sin(own)) < HALF_LONG + long * cos + wide * sin)
        & (np.abs(dd * np.cos(own) - ds * np.sin(own)) < HALF_WIDE + long * sin + wide * cos)
        & (np.abs(ds * np.cos(other) + dd * np.sin(other)) < long + HALF_LONG * cos + HALF_WIDE * sin)
        & (np.abs(dd * np.cos(other) - ds * np.sin(other)) < wide + HALF_LONG * sin + HALF_WIDE * cos)
    )
    row, weight = (a * across + b)[touch], around.weight_M[m[touch]]
    hard = weight >= likely
    first = np.full(ways * across, np.inf)
    np.minimum.at(first, row[hard], j[touch][hard].astype(np.float64))
    risk = np.zeros(ways * across)
    np.add.at(risk, row[~hard], weight[~hard] / steps)
    return first.reshape(ways, across), risk.reshape(ways, across)


def _worst(cost_PB: Floats, pairs: _Pairs, around: Obstacles, ways: int) -> Floats:
    """Summed over time and a track's ways, then the worst track. Triples are sorted by obstacle and way along."""
    across = cost_PB.shape[1]
    if len(cost_PB) == 0:
        return np.zeros((ways, across))
    tracks, row = np.unique(around.track_M, return_inverse=True)
    key = row[pairs.m] * ways + pairs.a
    order = np.argsort(key, kind="stable")
    key = key[order]
    begin = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    total = np.zeros((len(tracks) * ways, across))
    total[key[begin]] = np.add.reduceat(cost_PB[order], begin, axis=0)
    return np.asarray(total.reshape(len(tracks), ways, across).max(axis=0))
