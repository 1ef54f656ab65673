"""Interacting multiple models (Blom and Bar-Shalom 1988) over all tracks at once.

Every mode is the same linear filter of position and velocity with another push, so that one array operation
steps all modes of all tracks. What is measured is the track's own mean, which is smooth: neighbouring ticks say
nearly the same, and so the likelihood counts in proportion to the time that passed (TEMPER_S).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.prediction.ways import WAYS, Way, between
from agentforge.phase7_adas.drive.truth import Floats, Ints

TEMPER_S: Final = 0.3
FELT_S: Final = 0.5
"""Time constant of the acceleration that a track is felt to have."""
JITTER_BY_WAY: Final[Floats] = np.array([0.6, 0.8, 1.0, 0.8, 0.6, 0.8])
"""White acceleration of each mode, m/s2 per root hertz."""
_JITTER_SQUARED: Final[Floats] = (JITTER_BY_WAY**2)[None, :, None, None]
SWITCH_PER_S: Final = 0.4
PRIOR_BOUND: Final[Floats] = np.array([0.10, 0.08, 0.12, 0.12, 0.48, 0.10])
PRIOR_FREE: Final[Floats] = np.array([0.50, 0.18, 0.12, 0.10, 0.05, 0.05])
LONGEST_S: Final = 1.0
MEASURED_FLOOR: Final[Floats] = np.diag([0.1, 0.1, 0.15, 0.15]) ** 2


@dataclass
class State:
    """Of N tracks, sorted by id."""

    id_N: Ints
    mean_NK4: Floats
    cov_NK44: Floats
    probability_NK: Floats
    accel_N2: Floats
    """Felt acceleration in the world, smoothed."""
    last_N4: Floats
    """The track's own mean at the last tick."""


def no_state() -> State:
    return State(
        np.zeros(0, dtype=np.int64), np.zeros((0, WAYS, 4)), np.zeros((0, WAYS, 4, 4)), np.zeros((0, WAYS)),
        np.zeros((0, 2)), np.zeros((0, 4)),
    )  # fmt: skip


def prior(bound_N: NDArray[np.bool_]) -> Floats:
    return np.where(bound_N[:, None], PRIOR_BOUND, PRIOR_FREE)


def carried(state: State, id_N: Ints, mean_N4: Floats, cov_N44: Floats, prior_NK: Floats) -> State:
    """The state in the order of these ids; new tracks start with the prior."""
    if len(id_N) == len(state.id_N) and (id_N == state.id_N).all():
        return state  # as at most ticks: nobody writes into a state
    spot = np.searchsorted(state.id_N, id_N)
    spot_in = np.minimum(spot, max(len(state.id_N) - 1, 0))
    known = (state.id_N[spot_in] == id_N) if len(state.id_N) else np.zeros(len(id_N), dtype=bool)
    fresh = State(
        id_N, np.repeat(mean_N4[:, None], WAYS, 1), np.repeat((cov_N44 + MEASURED_FLOOR)[:, None], WAYS, 1),
        prior_NK.copy(), np.zeros((len(id_N), 2)), mean_N4.copy(),
    )  # fmt: skip
    here = np.flatnonzero(known)
    for name in ("mean_NK4", "cov_NK44", "probability_NK", "accel_N2", "last_N4"):
        getattr(fresh, name)[here] = getattr(state, name)[spot_in[here]]
    return fresh


def step(state: State, mean_N4: Floats, cov_N44: Floats, push_NK2: Floats, prior_NK: Floats, dt_s: float) -> State:
    """Mix, move on, and weigh by what was measured."""
    if dt_s <= 0 or not len(state.id_N):
        return state
    mean, cov, arrived_NK = _mixed(state, prior_NK, dt_s)
    mean, cov = _moved(mean, cov, push_NK2, dt_s)
    mean, cov, log_NK = _updated(mean, cov, mean_N4, cov_N44)
    log_NK = np.log(arrived_NK) + log_NK * min(dt_s / TEMPER_S, 1.0)
    weight = np.exp(log_NK - log_NK.max(axis=1, keepdims=True))
    accel = felt(state, mean_N4, dt_s)
    return State(state.id_N, mean, cov, weight / weight.sum(axis=1, keepdims=True), accel, mean_N4)


def felt(state: State, mean_N4: Floats, dt_s: float) -> Floats:
    """The world acceleration that each is felt to have by now."""
    new = (mean_N4[:, 2:] - state.last_N4[:, 2:]) / dt_s
    gain = 1.0 - np.exp(-dt_s / FELT_S)
    return np.asarray(state.accel_N2 + gain * (between(new, -12.0, 12.0) - state.accel_N2))


def turning(velocity_N2: Floats, accel_N2: Floats) -> Floats:
    """rad/s: the part of the felt acceleration across the velocity; nothing where hardly anything moves."""
    x, y = velocity_N2[:, 0], velocity_N2[:, 1]
    squared = x**2 + y**2
    across = x * accel_N2[:, 1] - y * accel_N2[:, 0]
    return np.where(squared > 1.0, across / np.maximum(squared, 1.0), 0.0)


def _mixed(state: State, prior_NK: Floats, dt_s: float) -> tuple[Floats, Floats, Floats]:
    """Each mode's start: what the modes say that may have switched to it."""
    stays_KK, leaves = _staying(dt_s)
    switch_NKK = stays_KK + leaves * prior_NK[:, None, :]
    joint_NKK = state.probability_NK[:, :, None] * switch_NKK
    arrived_NK = np.maximum(joint_NKK.sum(axis=1), 1e-12)
    share_NKK = joint_NKK / arrived_NK[:, None, :]
    share_NJK = share_NKK.transpose(0, 2, 1)
    mean = share_NJK @ state.mean_NK4
    off = state.mean_NK4[:, None] - mean[:, :, None]
    many = len(mean)
    within = (share_NJK @ state.cov_NK44.reshape(many, WAYS, 16)).reshape(many, WAYS, 4, 4)
    return mean, within + (off * share_NJK[..., None]).transpose(0, 1, 3, 2) @ off, arrived_NK


def _moved(mean: Floats, cov: Floats, push_NK2: Floats, dt_s: float) -> tuple[Floats, Floats]:
    move, jitter = _moving(dt_s)
    mean = mean @ move.T + np.concatenate([push_NK2 * dt_s**2 / 2, push_NK2 * dt_s], axis=2)
    return mean, move @ cov @ move.T + jitter


@lru_cache(maxsize=8)  # nearly all ticks are equally long
def _staying(dt_s: float) -> tuple[Floats, float]:
    """(K, K) with the chance that a mode goes on in its diagonal, and the chance that it does not."""
    stays = float(np.exp(-SWITCH_PER_S * dt_s))
    return stays * np.eye(WAYS), 1.0 - stays


@lru_cache(maxsize=8)
def _moving(dt_s: float) -> tuple[Floats, Floats]:
    """(4, 4) of the motion, and (1, K, 4, 4) of what each mode's white acceleration makes of it."""
    move = np.eye(4)
    move[0, 2] = move[1, 3] = dt_s
    shape = np.diag([dt_s**3 / 3, dt_s**3 / 3, dt_s, dt_s])
    shape[0, 2] = shape[1, 3] = shape[2, 0] = shape[3, 1] = dt_s**2 / 2
    return move, _JITTER_SQUARED * shape


def _updated(mean: Floats, cov: Floats, told_N4: Floats, told_cov_N44: Floats) -> tuple[Floats, Floats, Floats]:
    spread = cov + (told_cov_N44 + MEASURED_FLOOR)[:, None]
    inverse = np.linalg.inv(spread)
    gain = cov @ inverse
    off = told_N4[:, None] - mean
    squared = np.einsum("nki,nkij,nkj->nk", off, inverse, off)
    log = -(squared + np.log(np.linalg.det(spread))) / 2
    mean = mean + np.einsum("nkij,nkj->nki", gain, off)
    cov = cov - gain @ cov
    return mean, (cov + cov.transpose(0, 1, 3, 2)) / 2, log


def most_likely(state: State) -> list[Way]:
    return [Way(int(best)) for best in state.probability_NK.argmax(axis=1)]
