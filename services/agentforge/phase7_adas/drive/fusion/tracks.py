"""A bank of tracks, held as arrays: born of detections, confirmed by evidence, dead for want of it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.fusion.assign import NEVER, costs_NM, pairs
from agentforge.phase7_adas.drive.fusion.doubles import SETTLED_HITS, doubles
from agentforge.phase7_adas.drive.fusion.kinematics import (
    ACROSS_PART_BY_KIND,
    ahead,
    inverse_22,
    with_position,
    with_range_rate,
)
from agentforge.phase7_adas.drive.fusion.measured import Measured
from agentforge.phase7_adas.drive.fusion.visibility import cut_doubt, passed, visible
from agentforge.phase7_adas.drive.messages import Source, Tracks
from agentforge.phase7_adas.drive.truth import HEADING, Floats, Ints, Kind

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

    def at(self, index: Any) -> Rows:
        return Rows(**{each.name: getattr(self, each.name)[index] for each in fields(self)})

    def put(self, index: Any, rows: Rows) -> None:
        for each in fields(self):
            getattr(self, each.name)[index] = getattr(rows, each.name)

    def joined(self, other: Rows) -> Rows:
        names = [each.name for each in fields(self)]
        return Rows(**{name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in names})


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
        cost_NM, squared_NM = costs_NM(self.rows.mean, self.rows.cov, self.rows.kind, self.rows.depth, seen)
        stands_N = np.hypot(self.rows.mean[:, 2], self.rows.mean[:, 3]) < STANDS_MPS
        cost_NM[stands_N & passed(self.rows.mean[:, :2], self.rows.size, self.rows.kind, seen.ego_6)] = NEVER
        row, column = pairs(cost_NM)
        self._miss(row, seen)
        self._hit(row, column, seen)
        self._bear(column, squared_NM, seen)
        self._bury(seen.t_us, doubles(self.rows, seen.ego_6[:2]))

    def _predict(self, t_us: int) -> None:
        if self.t_us is not None:
            rows = self.rows
            rows.mean, rows.cov = ahead(rows.mean, rows.cov, rows.kind, (t_us - self.t_us) / 1e6, self._across_part)
        self.t_us = t_us

    def _miss(self, row: Ints, seen: Measured) -> None:
        rows = self.rows
        missed = np.ones(len(rows), dtype=bool)
        missed[row] = False
        looked_N = visible(rows.mean[:, :2], rows.size, rows.kind, seen.ego_6)
        weighs = np.where(looked_N, np.log(1.0 - np.minimum(rows.rate, BEST_RATE)), -UNSEEN)
        rows.odds = rows.odds + missed * weighs
        rows.rate = rows.rate + RATE_GAIN * looked_N * (~missed - rows.rate)

    def _hit(self, row: Ints, column: Ints, seen: Measured) -> None:
        hit, xy_N2, cov = self.rows.at(row), seen.xy_M2[column], seen.cov_M22[column]
        sight_N2, kind = seen.sight_M2[column], hit.kind
        settled = (hit.hits >= SETTLED_HITS)[:, None, None]
        cov = cov + settled * cut_doubt(hit.mean[:, :2], hit.size, kind, seen.ego_6)
        other = kind != seen.kind_M[column]
        xy_N2 = xy_N2 + (other * (hit.depth - seen.depth_M[column]))[:, None] * sight_N2
        spread = np.linalg.det(hit.cov[:, :2, :2] + cov)
        hit.mean, hit.cov, self.nis = with_position(hit.mean, hit.cov, xy_N2, cov)
        hit.mean, hit.cov, _ = with_range_rate(hit.mean, hit.cov, seen.rate_M[column], seen.beam_M2[column])
        place = -np.log(2 * math.pi * CLUTTER_PER_M2) - np.log(spread) / 2 - self.nis / 2
        told = np.clip(seen.confidence_M[column], 0.02, 0.98)
        speaks = np.log(told / (1 - told)) + np.clip(place, UNLIKELY, LIKELY)
        speaks = np.where(told < DOUBTFUL, np.minimum(speaks, 0.0), speaks)
        hit.odds = np.minimum(hit.odds + speaks, ODDS_LIMIT)
        hit.votes = KIND_MEMORY * hit.votes
        hit.votes[np.arange(len(row)), seen.kind_M[column]] += told
        # taken for another kind from now on: the side that is seen stays where it is, and the middle goes
        now = hit.kind != kind
        hit.mean[:, :2] += (now * (seen.depth_M[column] - hit.depth))[:, None] * sight_N2
        hit.depth = np.where(~other | now, seen.depth_M[column], hit.depth)
        gain = np.where(now, 1.0, np.where(other, 0.0, SIZE_GAIN))
        hit.size = hit.size + gain[:, None] * (seen.size_M3[column] - hit.size)
        hit.seen_us[:] = seen.t_us
        hit.hits = hit.hits + 1
        supported = (seen.sources_M[column, None] & FLAGS) > 0
        hit.source_us = np.where(supported, seen.t_us, hit.source_us)
        self.rows.put(row, hit)
        sure = (self.rows.existence >= CONFIRMED) & (self.rows.hits >= HITS)
        self.rows.confirmed = self.rows.confirmed | sure

    def _bear(self, column: Ints, squared_NM: Floats, seen: Measured) -> None:
        """A detection that no track took, unless it lies in the body of a track that took another."""
        free = np.ones(len(seen), dtype=bool)
        free[column] = False
        if len(self.rows):
            away_NM = np.linalg.norm(seen.xy_M2[None] - self.rows.mean[:, None, :2], axis=2)
            reach_N = self.rows.size[:, :2].max(1) / 2 + BESIDE_M
            inside_NM = (away_NM < reach_N[:, None]) & (self.rows.confirmed[:, None] > 0)
            free &= ~inside_NM.any(axis=0)
        free[np.flatnonzero(free)[max(0, MOST - len(self.rows)) :]] = False
        self.rows = self.rows.joined(self.born(np.flatnonzero(free), seen))

    def born(self, index: Ints, seen: Measured) -> Rows:
        """New rows: the velocity is what the radar leaves of any of the kind's size, a vehicle's most likely along
        the ego's own way."""
        many, kind = len(index), seen.kind_M[index]
        mean, cov = np.zeros((many, 4)), np.zeros((many, 4, 4))
        mean[:, :2], cov[:, :2, :2] = seen.xy_M2[index], seen.cov_M22[index]
        ahead = np.array([math.cos(seen.ego_6[HEADING]), math.sin(seen.ego_6[HEADING])])
        drives = (kind == Kind.VEHICLE) | (np.abs(seen.rate_M[index]) > FASTEST_WALK_MPS)
        # a radar that hears others and not this one says that it is a part of something, or slow, or nothing
        silent = np.isnan(seen.rate_M[index]) & (~np.isnan(seen.rate_M)).any()
        wide = ((BORN_SPEED_BY_KIND[kind] * np.where(silent, SILENT_PART, 1.0)) ** 2)[:, None, None]
        rolls = np.where(drives, BORN_ACROSS**2, 1.0)[:, None, None]
        cov[:, 2:, 2:] = wide * (rolls * np.eye(2) + (1.0 - rolls) * np.outer(ahead, ahead))
        beside, as_it = self._goes_as(index, seen)
        mean[beside, 2:], cov[beside, 2:, 2:] = as_it, GOES_AS_MPS**2 * np.eye(2)
        mean, cov, _ = with_range_rate(mean, cov, seen.rate_M[index], seen.beam_M2[index])
        likely = np.clip(seen.confidence_M[index], 0.02, BORN_LIMIT)
        odds = np.log(likely / (1 - likely)) - BORN_DISCOUNT
        votes = np.full((many, len(Kind)), 0.01)
        votes[np.arange(many), kind] += likely
        t_us = np.full(many, seen.t_us)
        supported = (seen.sources_M[index, None] & FLAGS) > 0
        return Rows(
            self.new_ids(many), mean, cov, seen.size_M3[index], votes, odds, t_us, t_us.copy(),
            np.ones(many, dtype=np.int64), np.full(many, FIRST_RATE), np.zeros(many, dtype=np.int64),
            np.where(supported, seen.t_us, NEVER_US), seen.depth_M[index].copy(), np.zeros(many, dtype=np.int64),
        )  # fmt: skip

    def _goes_as(self, index: Ints, seen: Measured) -> tuple[Ints, Floats]:
        """Those (of `index`) that are near a settled vehicle and as fast along the beam, and its velocity: they are
        parts of a long one, or follow it."""
        rows = self.rows
        settled = np.flatnonzero((rows.kind == Kind.VEHICLE) & (rows.confirmed > 0) & (rows.hits >= SETTLED_HITS))
        if len(index) == 0 or len(settled) == 0:
            return np.zeros(0, dtype=np.int64), np.zeros((0, 2))
        away_IN = np.linalg.norm(seen.xy_M2[index][:, None] - rows.mean[None, settled, :2], axis=2)
        rate_IN = seen.beam_M2[index] @ rows.mean[settled, 2:].T
        alike_IN = np.abs(rate_IN - seen.rate_M[index][:, None]) < ALIKE_RATE_MPS  # never of those without a rate
        away_IN = np.where(alike_IN & (np.abs(rate_IN) > FASTEST_WALK_MPS), away_IN, np.inf)
        nearest_I = away_IN.argmin(axis=1)
        found = np.flatnonzero(away_IN.min(axis=1) < GOES_AS_M)
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
        self.counts["tracks/dropped"] += int((~alive).sum())
        self.rows = rows.at(alive)

    def told(self, t_us: int) -> Tracks:
        """The confirmed tracks, moved on to `t_us`."""
        rows = self.rows.at((self.rows.confirmed > 0) & (self.rows.existence >= TOLD))
        dt_s = 0.0 if self.t_us is None else min(max((t_us - self.t_us) / 1e6, 0.0), 1.0)
        mean, cov = ahead(rows.mean, rows.cov, rows.kind, dt_s, self._across_part)
        speed_2 = np.einsum("ni,nij,nj->n", mean[:, 2:], inverse_22(cov[:, 2:, 2:])[0], mean[:, 2:])
        stands = (speed_2 < STANDS_SQUARED) & (np.hypot(mean[:, 2], mean[:, 3]) < STANDS_MPS)
        mean = np.where(stands[:, None] & [False, False, True, True], 0.0, mean)
        sources = ((t_us - rows.source_us <= RECENT_US) * FLAGS).sum(axis=1).astype(np.int64)
        return Tracks(
            t_us, rows.id, mean, cov, rows.size, rows.kind, rows.existence, sources,
            np.maximum(t_us - rows.born_us, 0), np.maximum(t_us - rows.seen_us, 0),
        )  # fmt: skip
