"""The same detections through Stone Soup's tracker (MIT, a development dependency).

Kalman filters of constant velocity, global nearest neighbours, tracks begun by several measurements: the parts that
our bank has, from another hand. Its two free settings are the best of twelve on a seed (99) that no figure uses.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np

from agentforge.kit.errors import MissingTool
from agentforge.phase7_adas.drive.fusion.kinematics import PUSH_BY_KIND
from agentforge.phase7_adas.drive.fusion.synthetic import Look
from agentforge.phase7_adas.drive.fusion.tracks import BORN_SPEED_BY_KIND
from agentforge.phase7_adas.drive.truth import Floats

MIN_POINTS: Final = 3
DELETE_AFTER: Final = 3
MISSED_DISTANCE: Final = 3.7
"""Mahalanobis: the root of our gate."""
START: Final = datetime(2026, 1, 1)


def stone_soup(
    looks: list[Look], min_points: int = MIN_POINTS, delete_after: int = DELETE_AFTER
) -> Iterator[tuple[Floats, float]]:
    """For each look: positions of its tracks (N, 2), and the seconds it took."""
    tracker = _tracker(looks, min_points, delete_after)
    while True:
        begun = time.perf_counter()
        try:
            _, tracks = next(tracker)
        except StopIteration:
            return
        took = time.perf_counter() - begun
        states = [np.asarray(track.state_vector, dtype=np.float64)[[0, 2], 0] for track in tracks]
        yield np.array(states).reshape(-1, 2), took


def _tracker(looks: list[Look], min_points: int, delete_after: int) -> Any:
    try:
        from stonesoup.dataassociator.neighbour import GNNWith2DAssignment
        from stonesoup.deleter.time import UpdateTimeStepsDeleter
        from stonesoup.hypothesiser.distance import DistanceHypothesiser
        from stonesoup.initiator.simple import MultiMeasurementInitiator
        from stonesoup.measures import Mahalanobis
        from stonesoup.models.transition.linear import CombinedLinearGaussianTransitionModel, ConstantVelocity
        from stonesoup.predictor.kalman import KalmanPredictor
        from stonesoup.tracker.simple import MultiTargetTracker
        from stonesoup.types.state import GaussianState
        from stonesoup.updater.kalman import KalmanUpdater
    except ModuleNotFoundError as error:
        message = "the comparison with Stone Soup needs the package stonesoup, which is not installed"
        raise MissingTool(message, field="stonesoup", next_step="pip install stonesoup") from error
    density = float(PUSH_BY_KIND[0] ** 2)
    motion = CombinedLinearGaussianTransitionModel([ConstantVelocity(density), ConstantVelocity(density)])
    predictor, updater = KalmanPredictor(motion), KalmanUpdater()
    hypothesiser = DistanceHypothesiser(predictor, updater, Mahalanobis(), missed_distance=MISSED_DISTANCE)
    associator = GNNWith2DAssignment(hypothesiser)
    speed = float(BORN_SPEED_BY_KIND[0] ** 2)
    initiator = MultiMeasurementInitiator(
        prior_state=GaussianState([[0.0]] * 4, np.diag([0.0, speed, 0.0, speed]), timestamp=START),
        deleter=UpdateTimeStepsDeleter(2), data_associator=associator, updater=updater, min_points=min_points,
    )  # fmt: skip
    deleter = UpdateTimeStepsDeleter(delete_after)
    return iter(MultiTargetTracker(initiator, deleter, _detections(looks), associator, updater))


def _detections(looks: list[Look]) -> list[tuple[datetime, set[Any]]]:
    """Made beforehand, so that only the tracker is timed."""
    from stonesoup.models.measurement.linear import LinearGaussian
    from stonesoup.types.detection import Detection

    made = []
    for look in looks:
        at = START + timedelta(microseconds=look.t_us)
        told = look.detections
        made.append((at, {
            Detection(xy[:, None], timestamp=at, measurement_model=LinearGaussian(4, (0, 2), cov))
            for xy, cov in zip(told.xy_N2, told.cov_N22, strict=True)
        }))  # fmt: skip
    return made
