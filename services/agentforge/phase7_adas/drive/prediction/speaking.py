"""From words to ways: what the language model says of each track, gathered into a few modes."""

from __future__ import annotations

from typing import Final

import numpy as np

from agentforge.phase7_adas.drive.prediction.context import frame, out_of, words
from agentforge.phase7_adas.drive.prediction.places import Places
from agentforge.phase7_adas.drive.prediction.rollout import ROLLOUTS, draws
from agentforge.phase7_adas.drive.prediction.speaker import Speaks
from agentforge.phase7_adas.drive.prediction.tokens import BETWEEN, decode
from agentforge.phase7_adas.drive.prediction.ways import WAYS
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.truth import Floats, Ints

LLOYD: Final = 3


def spoken(
    model: Speaks, places: Places, kind_N: Ints, accel_N2: Floats, road: Road, rollouts: int = ROLLOUTS
) -> tuple[Floats, Floats, Floats]:
    """xy (N, K, T, 2), probabilities (N, K), and the spread within each mode (N, K, T)."""
    tokens_NRT = model.sample(words(places, kind_N, accel_N2, road), draws(rollouts))
    told = frame(places)
    here = np.zeros((len(kind_N), rollouts, 2))
    points = decode(here, np.repeat(told.velocity_N2[:, None], rollouts, 1), tokens_NRT)
    modes, probability, spread = gathered(points)
    knots = np.concatenate([np.zeros_like(modes[:, :, :1]), modes], axis=2)
    return out_of(told, BETWEEN @ knots, road), probability, spread @ BETWEEN[:, 1:].T


def gathered(points_NRT2: Floats) -> tuple[Floats, Floats, Floats]:
    """Modes of each track's rollouts: begun far apart, then Lloyd's means. Empty modes keep where they began."""
    many, rollouts, length, _ = points_NRT2.shape
    flat = points_NRT2.reshape(many, rollouts, -1)
    row = np.arange(many)
    modes = np.empty((many, WAYS, flat.shape[2]))
    away = np.full((many, rollouts), np.inf)
    pick = ((flat - flat.mean(axis=1, keepdims=True)) ** 2).sum(2).argmin(axis=1)
    for mode in range(WAYS):
        modes[:, mode] = flat[row, pick]
        away = np.minimum(away, ((flat - modes[:, mode, None]) ** 2).sum(2))
        pick = away.argmax(axis=1)
    for _ in range(LLOYD):
        squared = ((flat[:, :, None] - modes[:, None]) ** 2).sum(3)
        member = np.eye(WAYS)[squared.argmin(axis=2)]
        count = member.sum(axis=1)
        means = member.transpose(0, 2, 1) @ flat / np.maximum(count, 1.0)[..., None]
        modes = np.where(count[..., None] > 0, means, modes)
    off = points_NRT2[:, :, None] - modes.reshape(many, 1, WAYS, length, 2)
    within = (member[..., None] * (off**2).sum(4)).sum(1) / np.maximum(count, 1.0)[..., None] / 2
    return modes.reshape(many, WAYS, length, 2), count / rollouts, np.sqrt(within)
