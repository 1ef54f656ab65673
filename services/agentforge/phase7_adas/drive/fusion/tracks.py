"""A bank of tracks, held as arrays: born of detections, confirmed by evidence, dead for want of it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.fusion.assign import NEVER, costs_NM, pairs
from agentforge.phase7_adas.drive.fusion.doubles import SETTLED_HITS, doubles
from agentforge.phase7_adas.drive.fusion.kinematics import (
    ACROSS_PART_BY_KIND,
    ahead,
    inverse_22,
    length,
    with_position,
    with_range_rate,
)
from agentforge.phase7_adas.drive.fusion.measured import Measured
from agentforge.phase7_adas.drive.fusion.visibility import at_edge, edge_doubt, visible
from agentforge.phase7_adas.drive.messages import Source, Tracks
from agentforge.phase7_adas.drive.truth import HEADING, Floats, Ints, Kind, to_ego

CONFIRMED, TOLD, DEAD = 0.9, 0.5, 0.02
"""Existence that confirms a track, below which a confirmed one is not told of, and at which it is dropped."""
HITS: Final = 2
"""No single detection confirms a track, however sure it is."""
ODDS_LIMIT: Final = 5.0
BORN_LIMIT: Final = 0.6
BORN_DISCOUNT: Final = 2.5
"""Log odds: most real things have a track already, so what no track took is more often false than others."""
LIKELY, UNLIKELY = 1.5, -1.0
"""Bounds on what the place of a detection adds to the log odds of its track."""
DOUBTFUL: Final = 0.3
"""A detection told with less speaks for no track: of a body that is there, it is often a second one."""
CLUTTER_PER_M2: Final = 2e-3
UNSEEN: Final = 0.1
"""Log odds lost with a look that could not see it; one that should have costs by how often it was seen so far."""
FIRST_RATE, RATE_GAIN = 0.7, 0.08
BEST_RATE: Final = 0.8
"""Misses come in rows (a turned body, rain): none costs more than this rate would."""
LONGEST_UNSEEN_US: Final = 3_000_000
UNSURE_M: Final = 4.0
MOST: Final = 128
RECENT_US: Final = 500_000
BORN_SPEED_BY_KIND: Final[Floats] = np.array([8.0, 4.0, 1.5, 1.0])
BESIDE_M: Final = 0.5
DOUBLE_LOOKS: Final = 4
BORN_ACROSS: Final = 0.15
"""Of it, across the ego's way, for vehicles: they keep to the road."""
FASTEST_WALK_MPS: Final = 5.0
"""Whatever is faster drives, whatever it is taken for."""
GOES_AS_M, GOES_AS_MPS, ALIKE_RATE_MPS = 10.0, 1.0, 1.0
SILENT_PART: Final = 0.25
STANDS_MPS, STANDS_SQUARED = 1.0, 6.0
"""A velocity that is smaller and cannot be told from none is told as none."""
KIND_MEMORY: Final = 0.9
SIZE_GAIN: Final = 0.15
FLAGS: Final = np.array([int(source) for source in (Source.CAMERA, Source.RADAR, Source.LIDAR, Source.V2X)])
NEVER_US: Final = -(2**62)
ANYWHERE: Final = -float(np.log(2 * math.pi * CLUTTER_PER_M2))
"""What the place of a detection would add if it were as sharp as a square metre and just where it should be."""
EYE_22: Final[Floats] = np.eye(2)
VOTE_BY_KIND: Final[Floats] = np.eye(len(Kind))
VEHICLE: Final = int(Kind.VEHICLE)


@dataclass
class Rows:
    """One row per track."""

    id: Ints
    mean: Floats
    cov: Floats
    size: Floats
    votes: Floats
    """For each Kind."""
    odds: Floats
    """Log odds of existence."""
    born_us: Ints
    seen_us: Ints
    hits: Ints
    rate: Floats
    """Part of the looks that saw it, of those that should have; the last dozen count most."""
    confirmed: Ints
    source_us: Ints
    """When each of FLAGS last supported it."""
    depth: Floats
    """From the side that is seen to the middle, along the line of sight."""
    inside: Ints
    """Looks in a row in which it lay in the body of a surer one."""

    def __len__(self) -> int:
        return len(self.id)

    @property
    def kind(self) -> Ints:
        best: Ints = self.votes.argmax(axis=1)
        return best

    @property
    def existence(self) -> Floats:
        return 1.0 / (1.0 + np.exp(-self.odds))

    def at(self, index: Ints) -> Rows:
        return Rows(*[getattr(self, name).take(index, axis=0) for name in COLUMNS])

    def joined(self, other: Rows) -> Rows:
        return Rows(*[np.concatenate((getattr(self, name), getattr(other, name))) for name in COLUMNS])


COLUMNS: Final = tuple(each.name for each in fields(Rows))


def no_rows() -> Rows:
    none: Ints = np.zeros(0, dtype=np.int64)
    return Rows(
        none, np.zeros((0, 4)), np.zeros((0, 4, 4)), np.zeros((0, 3)), np.zeros((0, len(Kind))), np.zeros(0),
        none, none, none, np.zeros(0), none, np.zeros((0, len(FLAGS)), dtype=np.int64),
        np.zeros(0), none,
    )  # fmt: skip


class Bank:
    def __init__(self, counts: Counter[str], across_part: Floats = ACROSS_PART_BY_KIND) -> None:
        self.counts = counts
        self._across_part = across_part
        self.rows = no_rows()
        self.t_us: int | None = None
        self._next_id = 1
        self.nis: Floats = np.zeros(0)
        """Of the last step's position updates, two degrees of freedom each."""

    def step(self, seen: Measured) -> None:
        """One look. Older than the one before, it is refused: the bank has gone on."""
        if self.t_us is not None and seen.t_us <= self.t_us:
            self.counts["detections/out of order" if seen.t_us < self.t_us else "detections/repeated"] += 1
            return
        self._predict(seen.t_us)
        rows, kind_N = self.rows, self.rows.kind
        here_N2 = to_ego(rows.mean[:, :2], seen.ego_6)
        cost_NM, squared_NM = costs_NM(rows.mean, rows.cov, kind_N, rows.depth, seen)
        cut_N, beyond_N = at_edge(here_N2, rows.size, kind_N)
        if np.count_nonzero(beyond_N):
            stands_N = np.hypot(rows.mean[:, 2], rows.mean[:, 3]) < STANDS_MPS
            cost_NM[stands_N & beyond_N] = NEVER
        row, column = pairs(cost_NM)
        self._miss(row, visible(rows.mean[:, :2], rows.size, kind_N, seen.ego_6, here_N2))
        self._hit(row, column, seen, kind_N.take(row), cut_N.take(row))
        self._bear(column, squared_NM, seen)
        self._bury(seen.t_us, doubles(self.rows, seen.ego_6[:2]))

    def _predict(self, t_us: int) -> None:
        if self.t_us is not None:
            rows = self.rows
            rows.mean, rows.cov = ahead(rows.mean, rows.cov, rows.kind, (t_us - self.t_us) / 1e6, self._across_part)
        self.t_us = t_us

    def _miss(self, row: Ints, looked_N: NDArray[np.bool_]) -> None:
        rows = self.rows
        missed = np.ones(len(rows), dtype=bool)
        missed[row] = False
        weighs = np.where(looked_N, np.log(1.0 - np.minimum(rows.rate, BEST_RATE)), -UNSEEN)
        rows.odds = rows.odds + missed * weighs
        rows.rate = rows.rate + RATE_GAIN * looked_N * (~missed - rows.rate)

    def _hit(self, row: Ints, column: Ints, seen: Measured, kind: Ints, cut: NDArray[np.bool_]) -> None:
        """`kind` and `cut` are of `row`: what they were taken for, and whether the view's edge cuts them."""
        rows, mean, size = self.rows, self.rows.mean.take(row, axis=0), self.rows.size.take(row, axis=0)
        before, hits, depth = rows.cov.take(row, axis=0), rows.hits.take(row), rows.depth.take(row)
        seen_depth, seen_kind = seen.depth_M.take(column), seen.kind_M.take(column)
        sight_N2, cov = seen.sight_M2.take(column, axis=0), seen.cov_M22.take(column, axis=0)
        doubted = cut & (hits >= SETTLED_HITS)
        if np.count_nonzero(doubted):
            cov[doubted] += edge_doubt(seen.ego_6)
        other = kind != seen_kind
        xy_N2 = seen.xy_M2.take(column, axis=0)
        if np.count_nonzero(other):
            xy_N2 += (other * (depth - seen_depth))[:, None] * sight_N2
        spread = np.linalg.det(before[:, :2, :2] + cov)
        mean, after, self.nis = with_position(mean, before, xy_N2, cov)
        mean, after, _ = with_range_rate(mean, after, seen.rate_M.take(column), seen.beam_M2.take(column, axis=0))
        told = np.minimum(np.maximum(seen.confidence_M.take(column), 0.02), 0.98)
        place = ANYWHERE - np.log(spread) / 2 - self.nis / 2
        speaks = np.log(told / (1 - told)) + np.minimum(np.maximum(place, UNLIKELY), LIKELY)
        speaks = np.where(told < DOUBTFUL, np.minimum(speaks, 0.0), speaks)
        rows.odds[row] = np.minimum(rows.odds.take(row) + speaks, ODDS_LIMIT)
        votes = KIND_MEMORY * rows.votes.take(row, axis=0) + VOTE_BY_KIND.take(seen_kind, axis=0) * told[:, None]
        # taken for another kind from now on: the side that is seen stays where it is, and the middle goes
        now = votes.argmax(axis=1) != kind
        if np.count_nonzero(now):
            mean[:, :2] += (now * (seen_depth - depth))[:, None] * sight_N2
        rows.mean[row], rows.cov[row], rows.votes[row] = mean, after, votes
        rows.depth[row] = np.where(~other | now, seen_depth, depth)
        gain = np.where(now, 1.0, np.where(other, 0.0, SIZE_GAIN))
        rows.size[row] = size + gain[:, None] * (seen.size_M3.take(column, axis=0) - size)
        rows.seen_us[row], rows.hits[row] = seen.t_us, hits + 1
        supported = (seen.sources_M.take(column)[:, None] & FLAGS) > 0
        rows.source_us[row] = np.where(supported, seen.t_us, rows.source_us.take(row, axis=0))
        rows.confirmed = rows.confirmed | ((rows.existence >= CONFIRMED) & (rows.hits >= HITS))

    def _bear(self, column: Ints, squared_NM: Floats, seen: Measured) -> None:
        """A detection that no track took, unless it lies in the body of a track that took another."""
        free = np.ones(len(seen), dtype=bool)
        free[column] = False
        if len(self.rows):
            away_NM = length(seen.xy_M2 - self.rows.mean[:, None, :2])
            reach_N = np.maximum(self.rows.size[:, 0], self.rows.size[:, 1]) / 2 + BESIDE_M
            inside_NM = (away_NM < reach_N[:, None]) & (self.rows.confirmed[:, None] > 0)
            free &= ~inside_NM.any(axis=0)
        index = free.nonzero()[0][: max(0, MOST - len(self.rows))]
        if len(index):
            self.rows = self.rows.joined(self.born(index, seen))

    def born(self, index: Ints, seen: Measured) -> Rows:
        """New rows: the velocity is what the radar leaves of any of the kind's size, a vehicle's most likely along
        the ego's own way."""
        many, kind, rate = len(index), seen.kind_M.take(index), seen.rate_M.take(index)
        xy, beam = seen.xy_M2.take(index, axis=0), seen.beam_M2.take(index, axis=0)
        mean, cov = np.zeros((many, 4)), np.zeros((many, 4, 4))
        mean[:, :2], cov[:, :2, :2] = xy, seen.cov_M22.take(index, axis=0)
        ahead = np.array([math.cos(seen.ego_6[HEADING]), math.sin(seen.ego_6[HEADING])])
        drives = (kind == VEHICLE) | (np.abs(rate) > FASTEST_WALK_MPS)
        # a radar that hears others and not this one says that it is a part of something, or slow, or nothing
        silent = np.isnan(rate) & (not np.isnan(seen.rate_M).all())
        wide = ((BORN_SPEED_BY_KIND.take(kind) * np.where(silent, SILENT_PART, 1.0)) ** 2)[:, None, None]
        rolls = np.where(drives, BORN_ACROSS**2, 1.0)[:, None, None]
        cov[:, 2:, 2:] = wide * (rolls * EYE_22 + (1.0 - rolls) * (ahead[:, None] * ahead))
        beside, as_it = self._goes_as(xy, rate, beam)
        if len(beside):
            mean[beside, 2:], cov[beside, 2:, 2:] = as_it, GOES_AS_MPS**2 * EYE_22
        mean, cov, _ = with_range_rate(mean, cov, rate, beam)
        likely = np.minimum(np.maximum(seen.confidence_M.take(index), 0.02), BORN_LIMIT)
        odds = np.log(likely / (1 - likely)) - BORN_DISCOUNT
        votes = 0.01 + VOTE_BY_KIND.take(kind, axis=0) * likely[:, None]
        t_us, none = np.full(many, seen.t_us), np.zeros(many, dtype=np.int64)
        supported = (seen.sources_M.take(index)[:, None] & FLAGS) > 0
        return Rows(
            self.new_ids(many), mean, cov, seen.size_M3.take(index, axis=0), votes, odds, t_us, t_us.copy(),
            none + 1, np.full(many, FIRST_RATE), none,
            np.where(supported, seen.t_us, NEVER_US), seen.depth_M.take(index), none.copy(),
        )  # fmt: skip

    def _goes_as(self, xy_I2: Floats, rate_I: Floats, beam_I2: Floats) -> tuple[Ints, Floats]:
        """Those that are near a settled vehicle and as fast along the beam, and its velocity: they are parts of a
        long one, or follow it."""
        rows = self.rows
        settled = ((rows.kind == VEHICLE) & (rows.confirmed > 0) & (rows.hits >= SETTLED_HITS)).nonzero()[0]
        none = np.zeros(0, dtype=np.int64), np.zeros((0, 2))
        if len(settled) == 0:
            return none
        rate_IN = beam_I2 @ rows.mean[settled, 2:].T
        alike_IN = np.abs(rate_IN - rate_I[:, None]) < ALIKE_RATE_MPS  # never of those without a rate
        alike_IN &= np.abs(rate_IN) > FASTEST_WALK_MPS
        if not np.count_nonzero(alike_IN):
            return none
        away_IN = np.where(alike_IN, length(xy_I2[:, None] - rows.mean[settled, :2]), np.inf)
        nearest_I = away_IN.argmin(axis=1)
        found = (away_IN.min(axis=1) < GOES_AS_M).nonzero()[0]
        return found, rows.mean[settled[nearest_I[found]], 2:]

    def new_ids(self, many: int) -> Ints:
        ids = np.arange(self._next_id, self._next_id + many, dtype=np.int64)
        self._next_id += many
        return ids

    def _bury(self, t_us: int, double_N: NDArray[np.bool_]) -> None:
        rows = self.rows
        spread = np.sqrt(np.maximum(rows.cov[:, 0, 0], rows.cov[:, 1, 1]))
        alive = (rows.existence >= DEAD) & (t_us - rows.seen_us <= LONGEST_UNSEEN_US) & (spread <= UNSURE_M)
        alive &= np.isfinite(rows.mean).all(axis=1)
        rows.inside = np.where(double_N, rows.inside + 1, 0)
        alive &= rows.inside < DOUBLE_LOOKS
        kept = alive.nonzero()[0]
        self.counts["tracks/dropped"] += len(rows) - len(kept)
        if len(kept) < len(rows):
            self.rows = rows.at(kept)

    def told(self, t_us: int) -> Tracks:
        """The confirmed tracks, moved on to `t_us`."""
        rows, existence_N = self.rows, self.rows.existence
        at = ((rows.confirmed > 0) & (existence_N >= TOLD)).nonzero()[0]
        kind, source_us = rows.votes.take(at, axis=0).argmax(axis=1), rows.source_us.take(at, axis=0)
        dt_s = 0.0 if self.t_us is None else min(max((t_us - self.t_us) / 1e6, 0.0), 1.0)
        mean, cov = ahead(rows.mean.take(at, axis=0), rows.cov.take(at, axis=0), kind, dt_s, self._across_part)
        slow = np.hypot(mean[:, 2], mean[:, 3]) < STANDS_MPS
        if np.count_nonzero(slow):
            speed_2 = np.einsum("ni,nij,nj->n", mean[:, 2:], inverse_22(cov[:, 2:, 2:])[0], mean[:, 2:])
            mean[(speed_2 < STANDS_SQUARED) & slow, 2:] = 0.0
        sources = ((t_us - source_us <= RECENT_US) * FLAGS).sum(axis=1)
        return Tracks(
            t_us, rows.id.take(at), mean, cov, rows.size.take(at, axis=0), kind, existence_N.take(at), sources,
            np.maximum(t_us - rows.born_us.take(at), 0), np.maximum(t_us - rows.seen_us.take(at), 0),
        )  # fmt: skip
