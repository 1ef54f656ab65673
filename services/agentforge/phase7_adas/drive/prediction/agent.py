"""Prediction as the pipeline sees it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Final, Literal

import numpy as np

from agentforge.phase7_adas.drive.agent import PREDICTION_MS, Moving
from agentforge.phase7_adas.drive.messages import PREDICTION_STEPS, Predictions, Tracks
from agentforge.phase7_adas.drive.prediction import imm
from agentforge.phase7_adas.drive.prediction.places import Places, place
from agentforge.phase7_adas.drive.prediction.speaker import Speaker, Speaks
from agentforge.phase7_adas.drive.prediction.speaking import spoken
from agentforge.phase7_adas.drive.prediction.ways import AHEAD_T, WAYS, between, following, paths, pushes
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.truth import Floats

Method = Literal["imm", "lm"]
DEFAULT: Final[Method] = "imm"
"""By accuracy the language model is the better one, by time it is not yet: see `evidence.measure_prediction`. On
a busy core its p99 was 8.8 ms with at most eleven tracks and 21 ms with thirty, where the IMM took 2.9 and 4.3; and
a tick that is to take TOTAL_MS has no room for that.
"""
DRIFT_BY_KIND: Final[Floats] = np.array([0.25, 0.2, 0.12, 0.05])
"""m/s2: how far a way's own path goes wrong, as a steady acceleration that nobody foresaw."""
_AHEAD_SQUARED_T: Final[Floats] = AHEAD_T**2
_DRIFTED_BY_KIND_T: Final[Floats] = (DRIFT_BY_KIND[:, None] * _AHEAD_SQUARED_T / 2) ** 2


class Prediction:
    """Keeps the IMM's state of each track, by id."""

    name = "prediction"
    deadline_ms = PREDICTION_MS

    def __init__(self, method: Method = DEFAULT, model: Speaks | None = None) -> None:
        self.method = method
        self.counts: Counter[str] = Counter()
        self._state = imm.no_state()
        self._t_us: int | None = None
        self._model: Speaks | None = None
        if method == "lm":
            self._model = Speaker.load() if model is None else model

    @property
    def felt_accel_N2(self) -> Floats:
        """World acceleration that each of the last tracks was felt to have."""
        return self._state.accel_N2

    def step(self, given: Moving) -> Predictions:
        tracks, places, follow_N = self.feel(given)
        if self._model is not None:
            return self._spoken(self._model, tracks, places, given.road)
        velocity_N2, accel_N2 = tracks.mean_N4[:, 2:], self._state.accel_N2
        turn_N = imm.turning(velocity_N2, accel_N2)
        along_N2 = accel_N2 * (velocity_N2 / np.maximum(places.speed_N, 0.3)[:, None])
        felt_N = between(along_N2[:, 0] + along_N2[:, 1], -6.0, 3.0)
        xy_NKT2 = paths(tracks.mean_N4, tracks.kind_N, felt_N, turn_N, places, follow_N, given.road)
        return Predictions(tracks.t_us, tracks.id_N, xy_NKT2, self._state.probability_NK, sigma_NKT(tracks))

    def feel(self, given: Moving) -> tuple[Tracks, Places, Floats]:
        """Takes the tracks in without foreseeing; says them back with their places and whom they follow."""
        tracks = self._sane(given.tracks)
        dt_s = 0.0 if self._t_us is None else (tracks.t_us - self._t_us) / 1e6
        if not 0.0 <= dt_s <= imm.LONGEST_S:
            self.counts["started over"] += 1
            self._state, dt_s = imm.no_state(), 0.0
        self._t_us = tracks.t_us
        places = place(tracks.mean_N4, tracks.size_N3, tracks.kind_N, given.road)
        follow_N = following(places, given.road.speed_limit_mps, tracks.kind_N)
        prior_NK = imm.prior(places.bound_N)
        state = imm.carried(self._state, tracks.id_N, tracks.mean_N4, tracks.cov_N44, prior_NK)
        if self._model is not None:  # which is told of nothing else that the filter knows
            if dt_s > 0:
                felt = imm.felt(state, tracks.mean_N4, dt_s)
                state = replace(state, accel_N2=felt, last_N4=tracks.mean_N4)
            self._state = state
            return tracks, places, follow_N
        turn_N = imm.turning(tracks.mean_N4[:, 2:], state.accel_N2)
        push_NK2 = pushes(tracks.mean_N4, tracks.kind_N, turn_N, places, follow_N)
        self._state = imm.step(state, tracks.mean_N4, tracks.cov_N44, push_NK2, prior_NK, dt_s)
        return tracks, places, follow_N

    def _spoken(self, model: Speaks, tracks: Tracks, places: Places, road: Road) -> Predictions:
        if not len(tracks.id_N):
            none = np.zeros((0, WAYS, PREDICTION_STEPS, 2))
            return Predictions(tracks.t_us, tracks.id_N, none, none[:, :, 0, 0], none[..., 0])
        xy, probability, spread = spoken(model, places, tracks.kind_N, self._state.accel_N2, road)
        return Predictions(tracks.t_us, tracks.id_N, xy, probability, np.hypot(sigma_NKT(tracks), spread))

    def _sane(self, tracks: Tracks) -> Tracks:
        """Without rows that are not numbers, which no filter gets over."""
        mean_good, cov_good = np.isfinite(tracks.mean_N4), np.isfinite(tracks.cov_N44)
        if mean_good.all() and cov_good.all():
            return tracks
        good = mean_good.all(axis=1) & cov_good.all(axis=(1, 2))
        self.counts["tracks/garbage"] += int((~good).sum())
        return replace(tracks, **{name: column[good] for name, column in vars(tracks).items() if name != "t_us"})


def sigma_NKT(tracks: Tracks) -> Floats:
    """What is not known of where it is and how fast, and what nobody foresees."""
    cov_N44 = tracks.cov_N44
    place_N1 = (cov_N44[:, 0, 0] + cov_N44[:, 1, 1])[:, None] / 2
    speed_N1 = (cov_N44[:, 2, 2] + cov_N44[:, 3, 3])[:, None] / 2
    shared_N1 = (cov_N44[:, 0, 2] + cov_N44[:, 1, 3])[:, None] / 2
    variance_NT = (
        place_N1 + 2 * shared_N1 * AHEAD_T + speed_N1 * _AHEAD_SQUARED_T + _DRIFTED_BY_KIND_T[tracks.kind_N]
    )
    wide = np.empty((len(cov_N44), WAYS, PREDICTION_STEPS))
    wide[:] = np.sqrt(np.maximum(variance_NT, 0.01))[:, None]
    return wide
