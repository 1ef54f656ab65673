"""What may be in the way: every way that a track may go, as boxes beside the road's line over time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.messages import (
    PREDICTION_STEP_S,
    PREDICTION_STEPS,
    VX,
    VY,
    Predictions,
    Source,
    Tracks,
)
from agentforge.phase7_adas.drive.planning.line import Line
from agentforge.phase7_adas.drive.planning.settings import EGO_LENGTH_M, EGO_WIDTH_M, Settings
from agentforge.phase7_adas.drive.truth import LENGTH, WIDTH, Floats, Ints, Kind

TIMES_J = np.asarray(np.arange(1, PREDICTION_STEPS + 1) * PREDICTION_STEP_S, dtype=np.float64)
AHEAD_M, ASTERN_M, ASIDE_M = 130.0, 50.0, 6.0
Bools = NDArray[np.bool_]
KEEPS_MPS = 0.4
"""A vehicle that moves across the road slower than this keeps its lane."""
COMES_ACROSS_MPS = 0.9
FASTEST_WALK_MPS = 5.0
"""Whatever is faster drives, whatever it was taken for."""
PASSES_S = 0.6
"""Who comes and is past within this time is too near for anything to be done, and seen too askew to be measured."""
DRIFTS_S = 1.0
UNSURE_US = 300_000
MOVES_MPS = 2.0
_OUTSIDE = np.linspace(0.005, 0.5, 100)
_SIGMAS = np.array([-NormalDist().inv_cdf(one) for one in _OUTSIDE])
SLOW_MPS = 0.5
"""Below it a body's direction is the road's, for want of a better one."""


@dataclass(frozen=True)
class Obstacles:
    """M ways (track by track, most of them with several), J = PREDICTION_STEPS instants."""

    track_M: Ints
    """Row of the tracks."""
    s_MJ: Floats
    d_MJ: Floats
    turn_MJ: Floats
    """Heading less the road's."""
    speed_MJ: Floats
    """Along the line; negative: towards the ego."""
    long_M: Floats
    wide_M: Floats
    """Half the box."""
    along_MJ: Floats
    across_MJ: Floats
    """Inflation."""
    weight_M: Floats
    """Probability that it is there and goes this way."""
    now_M5: Floats
    """s, d, speed along, speed across and kind, at this instant."""

    def __len__(self) -> int:
        return len(self.track_M)

    @cached_property
    def cos_sin(self) -> tuple[Floats, Floats]:
        """Of the turn, (M, J)."""
        return np.cos(self.turn_MJ), np.sin(self.turn_MJ)

    @cached_property
    def tracks(self) -> tuple[int, Ints]:
        """How many tracks there are, and each way's among them."""
        there = np.zeros(int(self.track_M.max()) + 1, dtype=np.int64)
        there[self.track_M] = 1
        return int(there.sum()), (np.cumsum(there) - 1)[self.track_M]

    @cached_property
    def reach(self) -> tuple[Floats, Floats]:
        """Half extents along and across the road, (M, J), without inflation."""
        cos, sin = (np.abs(of) for of in self.cos_sin)
        long, wide = self.long_M[:, None], self.wide_M[:, None]
        return long * cos + wide * sin, long * sin + wide * cos


@dataclass(frozen=True)
class Placed:
    """Tracks beside the line, now: place, and speed along and across."""

    s_N: Floats
    d_N: Floats
    along_N: Floats
    across_N: Floats


def placed(line: Line, tracks: Tracks) -> Placed:
    if not len(tracks.id_N):
        return Placed(*np.zeros((4, 0)))
    s_N, d_N = line.road.to_road(tracks.mean_N4[:, :2])
    heading = line.heading(s_N)
    cos, sin = np.cos(heading), np.sin(heading)
    vx, vy = tracks.mean_N4[:, VX], tracks.mean_N4[:, VY]
    return Placed(s_N, d_N, vx * cos + vy * sin, vy * cos - vx * sin)


def ways(tracks: Tracks, predictions: Predictions) -> tuple[Ints, Floats, Floats, Floats]:
    """Rows of tracks, xy (M, J, 2), probability and sigma (M, J); a track without a prediction goes straight on."""
    row_of = {one: row for row, one in enumerate(tracks.id_N.tolist())}
    known = np.array([row_of.get(one, -1) for one in predictions.id_N.tolist()], dtype=np.int64)
    rows, modes = np.nonzero((predictions.probability_NK > 0.01) & (known[:, None] >= 0))
    late_s = (tracks.t_us - predictions.t_us) / 1e6
    velocity = tracks.mean_N4[:, VX : VY + 1]
    track = known[rows]
    xy, probability = predictions.xy_NKT2[rows, modes], predictions.probability_NK[rows, modes]
    sigma = predictions.sigma_NKT[rows, modes]
    if late_s:
        xy = xy + late_s * velocity[track][:, None]
    told = np.zeros(len(tracks.id_N), dtype=bool)
    told[track] = True
    if told.all():
        return track, xy, probability, sigma
    left = np.flatnonzero(~told)
    straight = tracks.mean_N4[left, None, :2] + TIMES_J[None, :, None] * velocity[left, None]
    here = np.sqrt(np.maximum(tracks.cov_N44[left][:, [0, 1], [0, 1]].mean(axis=1), 0.0))
    return (
        np.concatenate([track, left]),
        np.concatenate([xy, straight]),
        np.concatenate([probability, np.ones(len(left))]),
        np.concatenate([sigma, here[:, None] + 0.5 * TIMES_J[None]]),
    )


def obstacles(
    line: Line,
    ego_s: float,
    ego_d: float,
    tracks: Tracks,
    predictions: Predictions,
    by: Settings,
    at: Placed | None = None,
) -> Obstacles:
    """`at`: where the tracks are, if that is known already."""
    track, xy, probability, sigma = ways(tracks, predictions)
    at = at or placed(line, tracks)
    s_N, d_N, along, across = at.s_N, at.d_N, at.along_N, at.across_N
    near = _near(line, ego_s, ego_d, s_N, d_N, tracks)[track].nonzero()[0]
    if len(near) < len(track):
        track, xy, probability, sigma = track[near], xy[near], probability[near], sigma[near]
    now = np.empty((len(track), 5))
    for column, of_N in enumerate((s_N, d_N, along, across, tracks.kind_N)):
        now[:, column] = of_N[track]
    s, d = line.to_road(xy, now[:, :1] + now[:, 2:3] * TIMES_J)
    passes = s_N - ego_s < PASSES_S * np.maximum(-along, 0.0) + EGO_LENGTH_M
    d = _kept(line, track, d, d_N, along, np.where(passes, np.maximum(across, 0.0), across), tracks)
    vs, vd = np.empty_like(s), np.empty_like(d)
    np.subtract(s[:, 1:], s[:, :-1], out=vs[:, 1:])
    np.subtract(d[:, 1:], d[:, :-1], out=vd[:, 1:])
    vs[:, 0], vd[:, 0] = s[:, 0] - now[:, 0], d[:, 0] - now[:, 1]
    vs /= PREDICTION_STEP_S
    vd /= PREDICTION_STEP_S
    turn = np.where(vs**2 + vd**2 > SLOW_MPS**2, np.arctan2(vd, vs), 0.0)
    there = np.minimum(np.maximum(tracks.existence_N, 0.0), 1.0)
    weight = probability * there[track] * np.where(unsure(tracks), by.unsure, 1.0)[track]
    grown = _sigmas(weight, by)[:, None] * sigma
    return Obstacles(
        track, s, d, turn, vs, tracks.size_N3[track, LENGTH] / 2, tracks.size_N3[track, WIDTH] / 2,
        by.along_m + np.minimum(grown, by.most_along_m), by.across_m + np.minimum(grown, by.most_across_m),
        weight, now,
    )  # fmt: skip


def unsure(tracks: Tracks) -> Bools:
    """Told by one kind of sensor alone and young, or by V2X alone, or long unseen and moving: no reason for a hard
    brake, but slowed for. What stands and is not seen any more may be hidden, and still stands there.
    """
    flags = tracks.sources_N
    young = (flags & (flags - 1) == 0) & (tracks.age_us_N < UNSURE_US)
    moves = np.hypot(tracks.mean_N4[:, VX], tracks.mean_N4[:, VY]) > MOVES_MPS
    return np.asarray(young | (flags == int(Source.V2X)) | ((flags == int(Source.NONE)) & moves))


def _kept(
    line: Line, track_M: Ints, d_MJ: Floats, d_N: Floats, along_N: Floats, across_N: Floats, tracks: Tracks
) -> Floats:
    """Ways that a straight guess leads off the lane in bends, put back: who drives along its lane keeps it.

    For single ways (they are guesses) of all vehicles; and, of those who come towards us, for every way into our
    lanes, as long as they do not move across faster than a measured speed may be wrong by.
    """
    drives = (tracks.kind_N == int(Kind.VEHICLE)) | (np.abs(along_N) > FASTEST_WALK_MPS)
    alone = np.bincount(track_M, minlength=len(d_N))[track_M] == 1
    keeps = drives & (np.abs(across_N) < KEEPS_MPS) & (np.abs(along_N) > 2.0)
    drift = d_N[track_M][:, None] + across_N[track_M][:, None] * np.minimum(TIMES_J, DRIFTS_S)
    d_MJ = np.where((keeps[track_M] & alone)[:, None], drift, d_MJ)
    road = line.road
    ours = (road.lanes - road.oncoming) * road.lane_width_m
    theirs = d_N > ours
    # who is at the far side of its lane comes back to the middle, or was seen there by mistake
    room = (d_N - tracks.size_N3[:, WIDTH] / 2 - ours) / DRIFTS_S
    comes = drives & theirs & (along_N < -2.0) & (across_N > -np.maximum(room, COMES_ACROSS_MPS))
    return np.where(comes[track_M][:, None], np.maximum(d_MJ, drift), d_MJ)


def _near(line: Line, ego_s: float, ego_d: float, s_N: Floats, d_N: Floats, tracks: Tracks) -> Bools:
    """What can matter in the next seconds; people walk, so the strip beside the road counts, too.

    Who is behind in the ego's own lane keeps its own distance: braking for what is ahead must not fail for it.
    """
    aside = np.where(tracks.kind_N != int(Kind.VEHICLE), 2 * ASIDE_M, ASIDE_M)
    inside = (d_N > -aside) & (d_N < line.road.width_m + aside)
    half = tracks.size_N3[:, WIDTH] / 2 + EGO_WIDTH_M / 2
    follows = (s_N < ego_s - EGO_LENGTH_M / 2) & (np.abs(d_N - ego_d) < half)
    return np.asarray(inside & ~follows & (s_N > ego_s - ASTERN_M) & (s_N < ego_s + AHEAD_M))


def _sigmas(weight_M: Floats, by: Settings) -> Floats:
    """How many sigmas leave `overlook` of the probability outside; none for a way that is less likely than that."""
    outside = by.overlook / np.maximum(weight_M, 1e-9)
    return np.asarray(np.minimum(np.interp(outside, _OUTSIDE, _SIGMAS), by.most_sigmas))
