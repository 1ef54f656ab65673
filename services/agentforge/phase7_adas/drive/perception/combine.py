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
from agentforge.phase7_adas.drive.perception.linking import NONE, camera_to_clusters, echoes_to_bodies, runs
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
_VEHICLE, _PEDESTRIAN, _OBSTACLE = int(Kind.VEHICLE), int(Kind.PEDESTRIAN), int(Kind.OBSTACLE)
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
FASTEST_WALK_MPS = 7.0
"""What radar says is faster is no person, whatever shows of it."""
BODY_MPS = 6.0
"""A body may have gone this much while its reading came; radar tells the part along the line of sight."""


def combine(
    given: Given, camera_x_m: float, lidar_x_m: float, radar_x_m: float, camera_half_view: float
) -> Evidence:
    eye = np.array([camera_x_m, 0.0])
    told, lidar, camera_xy = given.camera, given.lidar, given.camera_xy_N2
    lidar_xy = lidar.xy_N2 if lidar is not None else np.zeros((0, 2))
    many, away = len(lidar_xy), camera_xy - eye
    half = told.half_angle_N if told is not None else np.zeros(0)
    far = np.hypot(away[:, 0], away[:, 1])
    bearing = np.arctan2(away[:, 1], away[:, 0])
    may = np.zeros((len(half), many), dtype=bool)
    if told is not None and lidar is not None:
        may = fits(lidar, told.kind_N)
    link = camera_to_clusters(bearing, half, far, lidar_xy, eye, may)
    linked = link != NONE
    paired, alone = linked.nonzero()[0], (~linked).nonzero()[0]
    total = many + len(alone)
    box = np.full(total, NONE, dtype=np.int64)  # of the camera, by body
    box[link[paired]] = paired
    box[many:] = alone
    made = _Building(total, total + (len(given.radar) if given.radar is not None else 0))
    if lidar is not None and many:
        kind = kinds_of(lidar)
        if told is not None:
            shown = (box[:many] != NONE).nonzero()[0]
            kind[shown] = told.kind_N[box[shown]]
        _place_lidar(made, lidar, kind, box[:many] == NONE, lidar_x_m)
        _tell_lidar(made, lidar)
    if told is not None:
        _tell_camera(made, told, camera_xy, box, many, eye)
    if given.radar is not None:
        _tell_radar(made, given.radar, radar_x_m, many)
        if lidar is not None and many and (made.kind[:many] != kind).any():  # radar knows better
            _place_lidar(made, lidar, made.kind[:many].copy(), box[:many] == NONE, lidar_x_m)
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
        flat, pairs = np.zeros((4, room)), np.zeros((3, room, 2))
        whole, unknown = np.zeros((2, room), dtype=np.int64), np.full((2, room), np.nan)
        self._whole = {
            "xy": pairs[0], "size": np.zeros((room, 3)), "heading": pairs[1], "part": np.zeros(room, dtype=bool),
            "radial": flat[0], "tangent": flat[1], "depth": flat[2], "kind": whole[0], "sources": whole[1],
            "doubtful": pairs[2], "rate": unknown[0], "echo": unknown[1], "ground": flat[3],
            "features": np.zeros((room, _FEATURES)), "doubt": np.ones(room),
        }  # fmt: skip
        self.show(many)

    def show(self, many: int) -> None:
        """So many bodies of those that there is room for."""
        for name, whole in self._whole.items():
            setattr(self, name, whole[:many])


def _place_lidar(made: _Building, found: Clusters, kind: Ints, unseen: NDArray[np.bool_], lidar_x_m: float) -> None:
    """The first bodies are lidar's; `unseen` are those that the camera does not show."""
    many, eye, vehicle = len(kind), np.array([lidar_x_m, 0.0]), kind == _VEHICLE
    xy, heading, size = completed(found, kind, eye)
    made.kind[:many], made.xy[:many], made.heading[:many], made.size[:many] = kind, xy, heading, size
    lengthy = np.where(vehicle, 0.5, 0.2)
    whole = vehicle & (shown_across(found, lidar_x_m) > END_M)
    made.radial[:many], made.tangent[:many] = lengthy, np.where(whole, WHOLE_M, 0.15 + 0.3 * lengthy)
    made.doubtful[:many] = CUT_M * found.cut_N[:, None] * heading
    made.depth[:many] = depths(xy - eye, heading, size)
    part = within(found.xy_N2, xy, heading, size, kind, found.points_N)
    # a person whom the camera shows there stands before the car, a second car in a car does not; and the last of
    # a car at the edge of the view is no person
    made.part[:many] = (part & (unseen | vehicle)) | (found.cut_N & ~vehicle)


def _tell_lidar(made: _Building, found: Clusters) -> None:
    many = len(found.points_N)
    far = np.hypot(made.xy[:many, 0], made.xy[:many, 1])
    made.sources[:many] = _LIDAR
    made.features[:many, _POINTS] = np.log(found.points_N) + 2.0 * np.log(np.maximum(far, 2.0) / 20.0)
    made.features[:many, _TALL] = found.top_N
    made.features[:many, _STRENGTH] = found.strength_N
    made.doubt[:many] = 1.0 - NAIVE_LIDAR


def _tell_camera(made: _Building, told: Told, xy_N2: Floats, box: Ints, many: int, eye: Floats) -> None:
    """Bodies from `many` on are of the camera alone."""
    has = (box != NONE).nonzero()[0]
    of, alone = box[has], box[many:]
    heat = np.minimum(np.maximum(told.heat_N[of], HEAT_FLOOR), 1.0 - HEAT_FLOOR)
    made.features[has, _HEAT] = np.log(heat / (1.0 - heat))
    made.sources[has] |= _CAMERA
    made.doubt[has] *= 1.0 - heat
    both = has[: len(has) - len(alone)]
    off = made.xy[both] - eye
    seen = np.hypot(off[:, 0], off[:, 1])
    made.features[both, _AGREES] = np.log(np.maximum(seen, 0.5) / told.far_N[of[: len(both)]]) ** 2
    kind = told.kind_N[alone]
    made.xy[many:], made.kind[many:], made.size[many:] = xy_N2[alone], kind, USUAL[kind]
    made.depth[many:] = made.size[many:, 0] / 2
    made.radial[many:] = told.far_sigma_N[alone]
    made.tangent[many:] = np.maximum(0.3 * told.half_angle_N[alone], 0.003) * told.far_N[alone] + 0.1


def _tell_radar(made: _Building, found: Echoes, radar_x_m: float, many: int) -> None:
    """`many` bodies are lidar's, which knows better where they are."""
    if len(found) == 0:
        return
    eye = np.array([radar_x_m, 0.0])
    link = echoes_to_bodies(found, made.xy, made.size, made.radial, eye)
    fresh = len(made.kind)
    free = groups(found, (link == NONE).nonzero()[0])
    for place, of in enumerate(free):
        link[of] = fresh + place
    if free:
        made.show(fresh + len(free))
    order = np.lexsort((-found.snr_N, link))  # by body, strongest first
    body, start, count = runs(link[order])
    best = order[start]
    ground, strength = found.ground_N[best], found.snr_N[best]
    moves = np.abs(ground) > MOVES_MPS
    made.sources[body] |= _RADAR
    made.rate[body], made.echo[body], made.ground[body] = found.rate_N[best], found.azimuth_N[best], ground
    made.features[body, _SNR] = strength / 10.0
    made.features[body, _RETURNS] = np.log(count)
    made.features[body, _MOVES] = moves
    made.doubt[body] *= 1.0 - NAIVE_RADAR
    drives = body[(np.abs(ground) > FASTEST_WALK_MPS) & (made.kind[body] == _PEDESTRIAN)]
    made.kind[drives], made.size[drives] = _VEHICLE, USUAL[_VEHICLE]
    nearest = np.minimum.reduceat(found.range_N[order], start)
    azimuth = np.add.reduceat(found.azimuth_N[order], start) / count
    # bodies are in order: those that radar alone tells of come last, behind those that lidar does not tell of
    if free:
        new = len(body) - len(free)
        kind = np.where(moves[new:] | (strength[new:] > STRONG_DB), _VEHICLE, _OBSTACLE)
        made.kind[fresh:], made.size[fresh:] = kind, USUAL[kind]
        made.tangent[fresh:] = 0.012 * nearest[new:] + 0.3
    known = int(np.searchsorted(body, many))
    placed, azimuth, nearest = body[known:], azimuth[known:], nearest[known:]
    xy, vehicle = made.xy[placed], made.kind[placed] == _VEHICLE
    angle = np.where(placed >= fresh, azimuth, np.arctan2(xy[:, 1], xy[:, 0] - radar_x_m))
    depth = np.where(vehicle, made.size[placed, 0] / 2, 0.25)
    far = nearest + depth
    made.depth[placed] = depth
    made.xy[placed] = eye + far[:, None] * columns(np.cos(angle), np.sin(angle))
    made.radial[placed] = np.where(vehicle, 1.0, 0.4)


def _finished(made: _Building, given: Given, eye: Floats, camera_half_view: float) -> Evidence:
    features = made.features
    far = np.hypot(made.xy[:, 0], made.xy[:, 1])
    los = made.xy / np.maximum(far, 0.1)[:, None]
    lidar, radar = (made.sources & _LIDAR) > 0, (made.sources & _RADAR) > 0
    age = np.where(lidar, given.lidar_age_s, np.where(radar, given.radar_age_s, given.camera_age_s))
    # the way that it went since along the line of sight, if radar knows it
    xy = made.xy + los * np.where(radar, made.ground * age, 0.0)[:, None]
    features[:, _ONE] = 1.0
    features[:, _FAR] = far_50 = far / 50.0
    features[:, _FAR_SQUARED] = far_50**2
    bearing = np.abs(np.arctan2(made.xy[:, 1] - eye[1], made.xy[:, 0] - eye[0]))
    features[:, _BESIDE] = bearing > camera_half_view
    features[:, _ROAD] = np.log1p(given.lidar.ground) / 8.0 if given.lidar is not None else 0.0
    naive = np.minimum(np.maximum(1.0 - made.doubt, HEAT_FLOOR), 1.0 - HEAT_FLOOR)
    features[:, _DOUBLE] = _doubles(xy, naive)
    spread = BODY_MPS * np.maximum(age, 0.0)
    radial, tangent = np.hypot(made.radial, np.where(radar, 0.1, spread)), np.hypot(made.tangent, 0.5 * spread)
    whole = (~made.part).nonzero()[0]
    heard = np.full(len(whole), _heard(given), dtype=np.int64)
    return Evidence(
        xy.take(whole, axis=0), radial[whole], tangent[whole], made.size.take(whole, axis=0), made.kind[whole],
        made.rate[whole], made.echo[whole], made.sources[whole], features.take(whole, axis=0), heard,
        made.depth[whole], made.doubtful.take(whole, axis=0), naive[whole],
    )  # fmt: skip


def _heard(given: Given) -> int:
    said = ((given.camera, _CAMERA), (given.radar, _RADAR), (given.lidar, _LIDAR))
    return sum(flag for each, flag in said if each is not None)


def _doubles(xy_N2: Floats, naive_N: Floats) -> Floats:
    if len(xy_N2) < 2:
        return np.zeros(len(xy_N2))
    x, y = xy_N2[:, 0], xy_N2[:, 1]
    apart = np.hypot(x[:, None] - x, y[:, None] - y)
    order = np.empty(len(naive_N))
    order[np.argsort(-naive_N, kind="stable")] = np.arange(len(naive_N))
    apart[order[None] >= order[:, None]] = np.inf
    made: Floats = np.maximum(1.0 - apart.min(axis=1) / DOUBLE_M, 0.0)
    return made


def covariance(xy_N2: Floats, radial_N: Floats, tangent_N: Floats, doubtful_N2: Floats) -> Floats:
    """(N, 2, 2) in the ego's frame, of spreads along and across the line of sight, and of a doubt as a vector."""
    far = np.maximum(np.hypot(xy_N2[:, 0], xy_N2[:, 1]), 0.1)
    cos, sin = xy_N2[:, 0] / far, xy_N2[:, 1] / far
    along, across, cos_2, sin_2 = radial_N**2, tangent_N**2, cos**2, sin**2
    told = np.empty((len(far), 2, 2))
    told[:, 0, 0], told[:, 1, 1] = along * cos_2 + across * sin_2, along * sin_2 + across * cos_2
    told[:, 0, 1] = told[:, 1, 0] = (along - across) * cos * sin
    made: Floats = told + doubtful_N2[:, :, None] * doubtful_N2[:, None]
    return made


def told_places(told: Told, eye_x_m: float, ego_6: Floats, seconds: float) -> Floats:
    """Where the camera's boxes stand in the ego's frame of now."""
    xy = columns(eye_x_m + told.far_N * np.cos(told.bearing_N), told.far_N * np.sin(told.bearing_N))
    return compensated(xy, ego_6, seconds)
