"""Camera, radar and lidar evidence of one instant, gathered by body: places, spreads and what speaks for each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.messages import Source
from agentforge.phase7_adas.drive.perception.boxes import (
    END_M,
    USUAL,
    completed,
    depths,
    fits,
    kinds_of,
    shown_across,
    within,
)
from agentforge.phase7_adas.drive.perception.detector import HEAT_FLOOR, Told
from agentforge.phase7_adas.drive.perception.lidar import Clusters
from agentforge.phase7_adas.drive.perception.linking import NONE, camera_to_clusters, echoes_to_bodies
from agentforge.phase7_adas.drive.perception.motion import columns, compensated
from agentforge.phase7_adas.drive.perception.radar import MOVES_MPS, Echoes, groups
from agentforge.phase7_adas.drive.truth import Floats, Ints, Kind


class Feature(IntEnum):
    """Columns of Evidence.features_NF; zero where a sensor says nothing."""

    ONE = 0
    HEAT = 1  # logit
    POINTS = 2  # logarithm, as if at 20 m
    SNR = 3  # tens of dB
    FAR = 4  # of 50 m
    FAR_SQUARED = 5
    BESIDE = 6  # outside of the camera's field of view
    ROAD = 7  # how well lidar sees the road
    MOVES = 8  # by radar
    RETURNS = 9  # of radar
    TALL = 10  # lidar's top
    STRENGTH = 11  # of lidar's light
    AGREES = 12  # camera's and lidar's distance, as a squared logarithm
    DOUBLE = 13  # how near the next candidate is that has more evidence, from 0 to 1


@dataclass(frozen=True)
class Given:
    """What each sensor says, at the instant of the detections; None where it said nothing that can be used."""

    camera: Told | None
    camera_xy_N2: Floats
    lidar: Clusters | None
    lidar_age_s: float
    radar: Echoes | None
    radar_age_s: float
    camera_age_s: float


@dataclass(frozen=True)
class Evidence:
    xy_N2: Floats
    radial_N: Floats
    """Standard deviation along the line of sight, metres."""
    tangent_N: Floats
    size_N3: Floats
    kind_N: Ints
    rate_N: Floats
    echo_N: Floats
    """Bearing of the echo that told the rate, from the radar."""
    sources_N: Ints
    features_NF: Floats
    heard_N: Ints
    """Source flags of the sensors that said anything that can be used: silence counts only of these."""
    depth_N: Floats
    """From the side that was seen to the middle, along the line of sight."""
    doubtful_N2: Floats
    """Standard deviation of the middle along the body, besides the others; a vector."""
    naive_N: Floats
    """What one would say without calibration: heat, and fixed numbers for lidar and radar, as if independent."""

    def __len__(self) -> int:
        return len(self.kind_N)


# enumerations are slow to read in a loop that runs every tick
_CAMERA, _RADAR, _LIDAR = int(Source.CAMERA), int(Source.RADAR), int(Source.LIDAR)
_VEHICLE, _OBSTACLE = int(Kind.VEHICLE), int(Kind.OBSTACLE)
(
    _ONE, _HEAT, _POINTS, _SNR, _FAR, _FAR_SQUARED, _BESIDE, _ROAD, _MOVES, _RETURNS, _TALL, _STRENGTH, _AGREES,
    _DOUBLE,
) = map(int, Feature)  # fmt: skip
_FEATURES = len(Feature)
STRONG_DB = 25.0
"""A return that stands still and is this strong is told as a vehicle."""
NAIVE_LIDAR, NAIVE_RADAR = 0.7, 0.4
DOUBLE_M = 4.0
WHOLE_M = 0.12
"""Across the line of sight, of a vehicle whose end or side is seen as a whole."""
CUT_M = 1.5
"""Doubt of where along its length the middle of a body is that goes on beyond the edge of the view."""
BODY_MPS = 6.0
"""A body may have gone this much while its reading came; radar tells the part along the line of sight."""


def combine(
    given: Given, camera_x_m: float, lidar_x_m: float, radar_x_m: float, camera_half_view: float
) -> Evidence:
    eye = np.array([camera_x_m, 0.0])
    lidar_xy = given.lidar.xy_N2 if given.lidar is not None else np.zeros((0, 2))
    camera_xy, many = given.camera_xy_N2, len(lidar_xy)
    away = camera_xy - eye
    told = given.camera
    half = told.half_angle_N if told is not None else np.zeros(0)
    far = np.hypot(away[:, 0], away[:, 1])
    bearing = np.arctan2(away[:, 1], away[:, 0])
    may = np.zeros((len(half), many), dtype=bool)
    if told is not None and given.lidar is not None:
        may = fits(given.lidar, told.kind_N)
    link = camera_to_clusters(bearing, half, far, lidar_xy, eye, may)
    alone = np.nonzero(link == NONE)[0]
    total = many + len(alone)
    box = np.full(total, NONE, dtype=np.int64)  # of the camera, by body
    box[link[link != NONE]] = np.nonzero(link != NONE)[0]
    box[many:] = alone
    made = _Building(total, total + (len(given.radar) if given.radar is not None else 0))
    if given.lidar is not None and many:
        kind = kinds_of(given.lidar)
        if told is not None:
            shown = np.nonzero(box[:many] != NONE)[0]
            kind[shown] = told.kind_N[box[shown]]
        made.kind[:many] = kind
        made.xy[:many], made.heading[:many], made.size[:many] = completed(
            given.lidar, kind, np.array([lidar_x_m, 0.0])
        )
        made.sources[:many] = _LIDAR
        lengthy = np.where(kind == _VEHICLE, 0.5, 0.2)
        whole = (kind == _VEHICLE) & (shown_across(given.lidar, lidar_x_m) > END_M)
        made.radial[:many], made.tangent[:many] = lengthy, np.where(whole, WHOLE_M, 0.15 + 0.3 * lengthy)
        made.doubtful[:many] = CUT_M * given.lidar.cut_N[:, None] * made.heading[:many]
        made.depth[:many] = depths(made.xy[:many] - [lidar_x_m, 0.0], made.heading[:many], made.size[:many])
        _tell_lidar(made, given.lidar, many)
        part = within(lidar_xy, made.xy[:many], made.heading[:many], made.size[:many], kind, given.lidar.points_N)
        # a person whom the camera shows there stands before the car; a second car in a car does not
        made.part[:many] = part & ((box[:many] == NONE) | (kind == _VEHICLE))
        # the last of a car at the edge of the view is no person
        made.part[:many] |= given.lidar.cut_N & (kind != _VEHICLE)
    if told is not None:
        _tell_camera(made, told, camera_xy, box, many, eye)
    if given.radar is not None:
        _tell_radar(made, given.radar, radar_x_m, many)
    return _finished(made, given, eye, camera_half_view)


class _Building:
    """Evidence under construction: arrays that each sensor writes into, with room for more bodies."""

    xy: Floats
    size: Floats
    heading: Floats
    part: NDArray[np.bool_]
    radial: Floats
    tangent: Floats
    depth: Floats
    kind: Ints
    sources: Ints
    doubtful: Floats
    rate: Floats
    echo: Floats
    ground: Floats
    features: Floats
    doubt: Floats

    def __init__(self, many: int, room: int) -> None:
        flat = np.zeros((room, 4))
        self._whole = {
            "xy": np.zeros((room, 2)), "size": np.zeros((room, 3)), "heading": np.zeros((room, 2)),
            "part": np.zeros(room, dtype=bool), "radial": flat[:, 0], "tangent": flat[:, 1], "depth": flat[:, 2],
            "kind": np.zeros(room, dtype=np.int64), "sources": np.zeros(room, dtype=np.int64),
            "doubtful": np.zeros((room, 2)), "rate": np.full(room, np.nan), "echo": np.full(room, np.nan),
            "ground": flat[:, 3], "features": np.zeros((room, _FEATURES)), "doubt": np.ones(room),
        }  # fmt: skip
        self.show(many)

    def show(self, many: int) -> None:
        """So many bodies of those that there is room for."""
        for name, whole in self._whole.items():
            setattr(self, name, whole[:many])


def _tell_lidar(made: _Building, found: Clusters, many: int) -> None:
    far = np.hypot(made.xy[:many, 0], made.xy[:many, 1])
    made.features[:many, _POINTS] = np.log(found.points_N) + 2.0 * np.log(np.maximum(far, 2.0) / 20.0)
    made.features[:many, _TALL] = found.top_N
    made.features[:many, _STRENGTH] = found.strength_N
    made.doubt[:many] *= 1.0 - NAIVE_LIDAR


def _tell_camera(made: _Building, told: Told, xy_N2: Floats, box: Ints, many: int, eye: Floats) -> None:
    has = np.nonzero(box != NONE)[0]
    heat = np.clip(told.heat_N[box[has]], HEAT_FLOOR, 1.0 - HEAT_FLOOR)
    made.features[has, _HEAT] = np.log(heat / (1.0 - heat))
    made.sources[has] |= _CAMERA
    made.doubt[has] *= 1.0 - heat
    both = has[has < many]
    seen = np.hypot(*(made.xy[both] - eye).T)
    made.features[both, _AGREES] = np.log(np.maximum(seen, 0.5) / told.far_N[box[both]]) ** 2
    alone = np.arange(many, len(box))
    which = box[alone]
    made.xy[alone] = xy_N2[which]
    made.kind[alone] = told.kind_N[which]
    made.size[alone] = USUAL[told.kind_N[which]]
    made.depth[alone] = made.size[alone, 0] / 2
    made.radial[alone] = told.far_sigma_N[which]
    made.tangent[alone] = np.maximum(0.3 * told.half_angle_N[which], 0.003) * told.far_N[which] + 0.1


def _tell_radar(made: _Building, found: Echoes, radar_x_m: float, many: int) -> None:
    """`many` bodies are lidar's, which knows better where they are."""
    if len(found) == 0:
        return
    eye = np.array([radar_x_m, 0.0])
    link = echoes_to_bodies(found, made.xy, made.size, made.radial, eye)
    fresh = len(made.kind)
    free = groups(found, np.nonzero(link == NONE)[0])
    for place, of in enumerate(free):
        link[of] = fresh + place
    made.show(fresh + len(free))
    order = np.lexsort((-found.snr_N, link))  # by body, strongest first
    body, start, count = _runs(link[order])
    best, ground = order[start], found.ground_N[order[start]]
    moves = np.abs(ground) > MOVES_MPS
    made.sources[body] |= _RADAR
    made.rate[body], made.echo[body], made.ground[body] = found.rate_N[best], found.azimuth_N[best], ground
    made.features[body, _SNR] = found.snr_N[best] / 10.0
    made.features[body, _RETURNS] = np.log(count)
    made.features[body, _MOVES] = moves
    made.doubt[body] *= 1.0 - NAIVE_RADAR
    nearest = np.minimum.reduceat(found.range_N[order], start)
    azimuth = np.add.reduceat(found.azimuth_N[order], start) / count
    new = body >= fresh
    made.kind[body[new]] = np.where(moves | (found.snr_N[best] > STRONG_DB), _VEHICLE, _OBSTACLE)[new]
    made.size[body[new]] = USUAL[made.kind[body[new]]]
    made.tangent[body[new]] = 0.012 * nearest[new] + 0.3
    placed, nearest = body[body >= many], nearest[body >= many]
    shown = np.arctan2(made.xy[placed, 1], made.xy[placed, 0] - radar_x_m)
    angle = np.where(placed >= fresh, azimuth[body >= many], shown)
    vehicle = made.kind[placed] == _VEHICLE
    made.depth[placed] = np.where(vehicle, made.size[placed, 0] / 2, 0.25)
    far = nearest + made.depth[placed]
    made.xy[placed] = eye + far[:, None] * columns(np.cos(angle), np.sin(angle))
    made.radial[placed] = np.where(vehicle, 1.0, 0.4)


def _runs(sorted_N: Ints) -> tuple[Ints, Ints, Ints]:
    """Each number of a sorted row, where it begins, and how often it comes: np.unique sorts once more."""
    begins = np.empty(len(sorted_N) + 1, dtype=bool)
    begins[0] = begins[-1] = True
    np.not_equal(sorted_N[1:], sorted_N[:-1], out=begins[1:-1])
    edge = begins.nonzero()[0]
    return sorted_N[edge[:-1]], edge[:-1], edge[1:] - edge[:-1]


def _finished(made: _Building, given: Given, eye: Floats, camera_half_view: float) -> Evidence:
    features = made.features
    far = np.hypot(made.xy[:, 0], made.xy[:, 1])
    los = made.xy / np.maximum(far, 0.1)[:, None]
    lidar, radar = (made.sources & _LIDAR) > 0, (made.sources & _RADAR) > 0
    age = np.where(lidar, given.lidar_age_s, np.where(radar, given.radar_age_s, given.camera_age_s))
    # the way that it went since along the line of sight, if radar knows it
    xy = made.xy + los * np.where(radar, made.ground * age, 0.0)[:, None]
    features[:, _ONE] = 1.0
    features[:, _FAR] = far / 50.0
    features[:, _FAR_SQUARED] = (far / 50.0) ** 2
    bearing = np.abs(np.arctan2(made.xy[:, 1] - eye[1], made.xy[:, 0] - eye[0]))
    features[:, _BESIDE] = bearing > camera_half_view
    features[:, _ROAD] = np.log1p(given.lidar.ground) / 8.0 if given.lidar is not None else 0.0
    naive = np.clip(1.0 - made.doubt, HEAT_FLOOR, 1.0 - HEAT_FLOOR)
    features[:, _DOUBLE] = _doubles(xy, naive)
    spread = BODY_MPS * np.maximum(age, 0.0)
    radial, tangent = np.hypot(made.radial, np.where(radar, 0.1, spread)), np.hypot(made.tangent, 0.5 * spread)
    whole = np.nonzero(~made.part)[0]
    heard = np.full(len(whole), _heard(given), dtype=np.int64)
    return Evidence(
        xy[whole], radial[whole], tangent[whole], made.size[whole], made.kind[whole], made.rate[whole],
        made.echo[whole], made.sources[whole], features[whole], heard, made.depth[whole], made.doubtful[whole],
        naive[whole],
    )  # fmt: skip


def _heard(given: Given) -> int:
    said = ((given.camera, _CAMERA), (given.radar, _RADAR), (given.lidar, _LIDAR))
    return sum(flag for each, flag in said if each is not None)


def _doubles(xy_N2: Floats, naive_N: Floats) -> Floats:
    if len(xy_N2) < 2:
        return np.zeros(len(xy_N2))
    apart = np.hypot(*(xy_N2[:, None] - xy_N2[None]).transpose(2, 0, 1))
    order = np.empty(len(naive_N))
    order[np.argsort(-naive_N, kind="stable")] = np.arange(len(naive_N))
    apart[order[None] >= order[:, None]] = np.inf
    made: Floats = np.maximum(1.0 - apart.min(axis=1) / DOUBLE_M, 0.0)
    return made


def covariance(evidence: Evidence) -> Floats:
    """(N, 2, 2) in the ego's frame, of spreads along and across the line of sight."""
    far = np.maximum(np.hypot(evidence.xy_N2[:, 0], evidence.xy_N2[:, 1]), 0.1)
    cos, sin = evidence.xy_N2[:, 0] / far, evidence.xy_N2[:, 1] / far
    along, across = evidence.radial_N**2, evidence.tangent_N**2
    shared = (along - across) * cos * sin
    one, two = along * cos**2 + across * sin**2, along * sin**2 + across * cos**2
    told = np.empty((len(far), 2, 2))
    told[:, 0, 0], told[:, 1, 1] = one, two
    told[:, 0, 1] = told[:, 1, 0] = shared
    made: Floats = told + evidence.doubtful_N2[:, :, None] * evidence.doubtful_N2[:, None]
    return made


def told_places(told: Told, eye_x_m: float, ego_6: Floats, seconds: float) -> Floats:
    """Where the camera's boxes stand in the ego's frame of now."""
    xy = columns(eye_x_m + told.far_N * np.cos(told.bearing_N), told.far_N * np.sin(told.bearing_N))
    return compensated(xy, ego_6, seconds)
