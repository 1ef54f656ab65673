"""Candidates against boxes over time: first by extents along the road, then the few that are left exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.planning.lattice import Ways, ego_way, lead_way, needed_gap, wanted_gap
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
    mj: Ints
    """Index into flat (M, J)."""
    a: Ints
    ja: Ints
    """Index into flat (J, A)."""
    apart: Floats
    """Gap along the road; less than nothing where they are level."""
    level: Bools
    """Level with the grown obstacle."""
    behind: Bools
    """Behind it, and nearer than wanted."""
    wanted: Floats
    needed: Floats
    grown: Floats
    """How much the obstacle is grown at its sides."""


Grown = tuple[Floats, Floats]
"""Inflation along and across the road, (M, J)."""


def contacts(
    over: Ways, ego_s: float, ego_d: float, around: Obstacles, by: Settings, grown: Grown | None = None
) -> Contacts:
    """`grown`: the `inflation`, if that is known already."""
    steps, ways, across = over.d_JAB.shape
    free = np.zeros((ways, across))
    if len(around) == 0:
        return Contacts(free + np.inf, free, free, free, free)
    grown_s, grown_d = grown or inflation(around, ego_s, ego_d)
    near = _close(over, around, grown_s, grown_d, by)
    side_BP = _beside(over, around, near)
    inside_BP = side_BP < near.grown
    hit_at, risk = _hits(over, around, grown_s, near, *_pairs(inside_BP & near.level), by.likely)
    weight = around.weight_M.take(near.m) / steps
    missing = np.minimum(1.0 - near.apart / np.maximum(near.wanted, 0.1), 1.5) ** 2 * weight
    lacking = np.minimum(np.maximum(1.0 - near.apart / (near.needed + 1.0), 0.0), 1.5) ** 2 * weight
    speed = weight * np.maximum(over.v_JA.ravel().take(near.ja), 0.0)
    tracks, row_M = around.tracks
    cell_P = (row_M.take(near.m) * ways + near.a) * across

    def worst(cells: Ints, cost: Floats) -> Floats:
        """Summed over time and a track's ways, then the worst track."""
        total = np.bincount(cells, cost, tracks * ways * across)
        return np.asarray(total.reshape(tracks, ways, across).max(axis=0))

    b, p = _pairs(inside_BP & near.behind)
    followed = cell_P.take(p) + b
    level_BP = (side_BP < np.maximum(near.grown, BESIDE_M)) & near.level
    b_past, past = _pairs(level_BP)
    nearness = np.minimum(np.maximum(1.0 - side_BP[level_BP] / BESIDE_M, 0.0), 1.0) ** 2
    return Contacts(
        hit_at,
        risk,
        worst(followed, missing.take(p)),
        worst(followed, lacking.take(p)),
        worst(cell_P.take(past) + b_past, nearness * speed.take(past)),
    )


def _close(over: Ways, around: Obstacles, grown_s: Floats, grown_d: Floats, by: Settings) -> _Near:
    """First by the extents of all candidates at each instant, then by each way along."""
    reach_s, reach_d = around.reach
    s_JA, v_JA, d_BJA = over.s_JA, over.v_JA, over.d_BJA
    steps, ways = s_JA.shape
    least = np.maximum(around.s_MJ - s_JA.max(axis=1), s_JA.min(axis=1) - around.s_MJ)
    far = np.maximum(least, 0.0) - reach_s - HALF_LONG
    fastest, theirs = np.abs(v_JA).max(axis=1), lead_way(around.speed_MJ, by)
    most = wanted_gap(needed_gap(ego_way(fastest, by), theirs), fastest, by)
    aside = np.maximum(around.d_MJ - d_BJA.max(axis=0).max(axis=1), d_BJA.min(axis=0).min(axis=1) - around.d_MJ)
    turn = np.abs(over.turn_BJA).max(axis=0).max(axis=1)
    aside = np.maximum(aside, 0.0) - reach_d - HALF_WIDE - HALF_LONG * turn
    level = (far < grown_s) & (aside < np.maximum(grown_d, BESIDE_M))
    mj = (level | ((far < most) & (aside < grown_d))).ravel().nonzero()[0]
    j = mj % steps
    ahead = around.s_MJ.ravel().take(mj)[:, None] - s_JA.take(j, axis=0)  # (K, A)
    gap = np.abs(ahead)
    gap -= reach_s.ravel().take(mj)[:, None]
    gap -= HALF_LONG
    need = needed_gap(ego_way(v_JA, by).take(j, axis=0), theirs.ravel().take(mj)[:, None])
    want = wanted_gap(need, v_JA.take(j, axis=0), by)
    level, behind = gap < grown_s.ravel().take(mj)[:, None], (ahead > 0) & (gap < want)
    at = (level | behind).ravel().nonzero()[0]
    k = at // ways
    mj, a = mj.take(k), at - k * ways
    return _Near(
        mj // steps, mj, a, j.take(k) * ways + a, gap.ravel().take(at), level.ravel().take(at),
        behind.ravel().take(at), want.ravel().take(at), need.ravel().take(at), grown_d.ravel().take(mj),
    )  # fmt: skip


def _beside(over: Ways, around: Obstacles, near: _Near) -> Floats:
    """The gap at the side, (B, P), of each way across to each triple; negative: overlapping."""
    flat = len(over.d_BJA), -1
    side = over.d_BJA.reshape(flat).take(near.ja, axis=1)
    side -= around.d_MJ.ravel().take(near.mj)
    np.abs(side, out=side)
    side -= around.reach[1].ravel().take(near.mj)
    side -= HALF_WIDE
    side -= (np.abs(over.turn_BJA) * HALF_LONG).reshape(flat).take(near.ja, axis=1)
    return side


def _pairs(wanted_BP: Bools) -> tuple[Ints, Ints]:
    """Rows and columns: what `nonzero` gives, sooner."""
    columns = wanted_BP.shape[1]
    at = wanted_BP.ravel().nonzero()[0]
    row = at // max(columns, 1)
    return row, at - row * columns


def inflation(around: Obstacles, ego_s: float, ego_d: float) -> Grown:
    reach_s, reach_d = around.reach
    apart_s = np.abs(around.now_M5[:, 0] - ego_s)[:, None] - reach_s[:, :1] - HALF_LONG
    apart_d = np.abs(around.now_M5[:, 1] - ego_d)[:, None] - reach_d[:, :1] - HALF_WIDE
    most_s = np.where(apart_s > apart_d, np.maximum(LEFT_OF_GAP * apart_s, 0.05), np.inf)
    most_d = np.where(apart_d >= apart_s, np.maximum(LEFT_OF_GAP * apart_d, 0.05), np.inf)
    return np.minimum(around.along_MJ, most_s), np.minimum(around.across_MJ, most_d)


def _hits(
    over: Ways, around: Obstacles, grown_s: Floats, near: _Near, b: Ints, p: Ints, likely: float
) -> tuple[Floats, Floats]:
    """The separating axis test of boxes that overlap by their extents: the ego's against the grown obstacle's."""
    steps, ways, across = over.d_JAB.shape
    m, mj, ja, grown = near.m.take(p), near.mj.take(p), near.ja.take(p), near.grown.take(p)
    bja = b * (steps * ways) + ja
    d_m = around.d_MJ.ravel().take(mj)
    squeeze = np.maximum(1.0 - over.bend_JA.ravel().take(ja) * d_m, 0.2)
    ds = (around.s_MJ.ravel().take(mj) - over.s_JA.ravel().take(ja)) * squeeze
    dd = d_m - over.d_BJA.ravel().take(bja)
    own, other = over.turn_BJA.ravel().take(bja), around.turn_MJ.ravel().take(mj)
    cos_own, sin_own = np.cos(own), np.sin(own)
    cos_other, sin_other = (of.ravel().take(mj) for of in around.cos_sin)
    level, ahead = np.abs(cos_other) > 0.7, grown_s.ravel().take(mj)
    long = around.long_M.take(m) + np.where(level, ahead, grown)
    wide = around.wide_M.take(m) + np.where(level, grown, ahead)
    cos, sin = np.abs(np.cos(other - own)), np.abs(np.sin(other - own))
    touch = (
        (np.abs(ds * cos_own + dd * sin_own) < HALF_LONG + long * cos + wide * sin)
        & (np.abs(dd * cos_own - ds * sin_own) < HALF_WIDE + long * sin + wide * cos)
        & (np.abs(ds * cos_other + dd * sin_other) < long + HALF_LONG * cos + HALF_WIDE * sin)
        & (np.abs(dd * cos_other - ds * sin_other) < wide + HALF_LONG * sin + HALF_WIDE * cos)
    )
    row, weight = (near.a.take(p) * across + b)[touch], around.weight_M.take(m[touch])
    at = ja[touch] // ways
    hard = weight >= likely
    first = np.full(ways * across, np.inf)
    np.minimum.at(first, row[hard], at[hard].astype(np.float64))
    risk: Floats = np.bincount(row[~hard], weight[~hard] / steps, ways * across).astype(np.float64)
    return first.reshape(ways, across), risk.reshape(ways, across)
