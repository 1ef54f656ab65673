"""Rows that the language model learns from: what was known of a track, and the motion tokens that followed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from agentforge.phase7_adas.drive.agent import Moving
from agentforge.phase7_adas.drive.prediction.agent import Prediction
from agentforge.phase7_adas.drive.prediction.context import WORDS, frame, into, words
from agentforge.phase7_adas.drive.prediction.data import Scene
from agentforge.phase7_adas.drive.prediction.places import place
from agentforge.phase7_adas.drive.prediction.tokens import BETWEEN, TOKENS, encode
from agentforge.phase7_adas.drive.truth import Floats, Ints

EVERY_TICKS: Final = 3
STANDS_M: Final = 0.5
STANDING_PART: Final = 8
"""One of so many rows of what stands and stays is kept: parked cars would teach nothing else."""


def rows(scenes: Iterable[Scene]) -> Ints:
    """(N, WORDS + TOKENS), in the order of scenes, ticks and tracks."""
    made = [_of(scene) for scene in scenes]
    return np.concatenate(made) if made else np.zeros((0, WORDS + TOKENS), dtype=np.int64)


def _of(scene: Scene) -> Ints:
    feeling, made = Prediction("imm"), [np.zeros((0, WORDS + TOKENS), dtype=np.int64)]
    for tick in range(scene.scored_ticks.stop):
        tracks = scene.tracks[tick]
        feeling.step(Moving(tracks, scene.road))
        if tick not in scene.scored_ticks or tick % EVERY_TICKS or not len(tracks.id_N):
            continue
        future_NT2, body_N = scene.future(tick)
        places = place(tracks.mean_N4, tracks.size_N3, tracks.kind_N, scene.road)
        told = frame(places)
        motion = encode(np.zeros((len(body_N), 2)), told.velocity_N2, _halves(into(told, future_NT2, scene.road)))
        context = words(places, tracks.kind_N, feeling.felt_accel_N2, scene.road)
        moves = np.linalg.norm(future_NT2[:, -1] - tracks.mean_N4[:, :2], axis=1) > STANDS_M
        kept = (body_N >= 0) & (moves | ((tracks.id_N + tick) % STANDING_PART == 0))
        made.append(np.concatenate([context, motion], axis=1)[kept])
    return np.concatenate(made)


def _halves(points_NT2: Floats) -> Floats:
    """Points every half second out of those every PREDICTION_STEP_S: those that fall between are averaged."""
    weight = np.linalg.pinv(BETWEEN[:, 1:])
    halves: Floats = weight @ points_NT2
    return halves
