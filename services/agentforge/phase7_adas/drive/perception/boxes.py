"""From what a lidar cluster shows to the body behind it: its kind, its size, and where its middle must be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.perception.lidar import Clusters
from agentforge.phase7_adas.drive.perception.motion import columns
from agentforge.phase7_adas.drive.truth import Floats, Ints, Kind

# length, width, height of a body of which little is seen
USUAL = np.array([[4.4, 1.8, 1.6], [1.75, 0.6, 1.75], [0.5, 0.5, 1.65], [0.9, 0.9, 0.7]])
WALL_M = 2.6
"""A longer side is a vehicle's length, not its width."""
LONGEST_M = np.array([np.inf, 2.8, 1.6, np.inf])
"""Of what shows of a body, by kind; a person's points and those of a neighbour may be one cluster."""
GLIMPSE_M, GLIMPSE_WITHIN_M = 0.8, 25.0
INSIDE_M = 0.35
CAR_WIDE_M, LORRY_LONG_M = 2.3, 6.5
"""A vehicle that is shorter is no wider."""
END_M = 1.3
"""A wider cluster may be a car's end; so may a cyclist who crosses, and is then told as a car by lidar alone."""
# enumerations are slow to read in what runs every tick
_VEHICLE, _CYCLIST, _PEDESTRIAN, _OBSTACLE = map(int, (Kind.VEHICLE, Kind.CYCLIST, Kind.PEDESTRIAN, Kind.OBSTACLE))


def kinds_of(found: Clusters) -> Ints:
    """By size alone, where the camera says nothing."""
    longest, top = found.longest_N, found.top_N
    high = np.where(longest > 0.9, top > 1.15, top > 1.0)
    thin = np.where(longest > 0.9, _CYCLIST, _PEDESTRIAN)
    return np.where(longest > END_M, _VEHICLE, np.where(high, thin, _OBSTACLE))


def fits(found: Clusters, kind_N: Ints) -> NDArray[np.bool_]:
    """(kinds, clusters): whether the cluster is small enough for the kind; near by, large enough for a vehicle."""
    longest = found.longest_N
    near = np.hypot(found.xy_N2[:, 0], found.xy_N2[:, 1]) < GLIMPSE_WITHIN_M
    vehicle = (kind_N == _VEHICLE)[:, None]
    good: NDArray[np.bool_] = (longest <= LONGEST_M[kind_N][:, None]) & ~(vehicle & near & (longest < GLIMPSE_M))
    return good


def within(
    shown_N2: Floats, xy_N2: Floats, heading_N2: Floats, size_N3: Floats, kind_N: Ints, points_N: Ints
) -> NDArray[np.bool_]:
    """Clusters whose points are about a place in the box of a vehicle with more points: parts that fell apart."""
    off_x, off_y = shown_N2[:, 0] - xy_N2[:, :1], shown_N2[:, 1] - xy_N2[:, 1:]  # box, cluster
    along = np.abs(off_x * heading_N2[:, :1] + off_y * heading_N2[:, 1:])
    across = np.abs(off_y * heading_N2[:, :1] - off_x * heading_N2[:, 1:])
    inside = (along < size_N3[:, :1] / 2 + INSIDE_M) & (across < size_N3[:, 1:2] / 2 + INSIDE_M)
    inside &= (kind_N == _VEHICLE)[:, None] & (points_N[:, None] > points_N)
    return np.asarray(inside.any(axis=0), dtype=np.bool_)


def completed(found: Clusters, kind_N: Ints, sensor_xy_2: Floats) -> tuple[Floats, Floats, Floats]:
    """Middle, direction of the length, and size: sides that are seen stay, the others move away from the sensor."""
    extent, longest, usual = found.extent_N2, found.longest_N, USUAL[kind_N]
    # which of the two axes is the length: the one that is longer than any width, or the one that is hidden
    small = usual[:, 0] < WALL_M
    first = (extent[:, 0] >= extent[:, 1]) | ~(small | (longest > WALL_M))
    first |= found.cut_N & ~small  # who passes by goes as the ego goes, whatever is left to be seen
    least = np.where(first[:, None], usual[:, :2], usual[:, 1::-1])
    axes = found.axes_N2
    own = columns(axes @ sensor_xy_2, axes[:, 0] * sensor_xy_2[1] - axes[:, 1] * sensor_xy_2[0])
    missing = np.maximum(least - extent, 0.0)
    side = np.where(own < found.low_N2, 1.0, np.where(own > found.high_N2, -1.0, 0.0))
    middle = (found.low_N2 + found.high_N2) / 2
    # a flat end shows its whole width: only the depth is unknown; a glimpse of a side shows neither
    shows = np.abs(middle - own) > extent / 2 + 0.5
    # what is cut off lies behind the edge of the view, whatever side is seen
    side[found.cut_N, 0], shows[found.cut_N, 0] = -1.0, True
    middle = middle + side * missing / 2 * shows
    wide = np.where(first, extent[:, 1], extent[:, 0])
    merged = (kind_N == _VEHICLE) & (wide > CAR_WIDE_M) & (longest < LORRY_LONG_M)
    beyond = np.where(merged, wide - usual[:, 1], 0.0)  # somebody stands at its far side
    across = columns(~first, first)
    middle = middle - side * across * beyond[:, None] / 2
    extent = extent - across * beyond[:, None]
    xy = columns(
        middle[:, 0] * axes[:, 0] - middle[:, 1] * axes[:, 1], middle[:, 0] * axes[:, 1] + middle[:, 1] * axes[:, 0]
    )
    full = np.maximum(extent, least)
    length, width = np.where(first, full[:, 0], full[:, 1]), np.where(first, full[:, 1], full[:, 0])
    heading = np.where(first[:, None], axes, columns(-axes[:, 1], axes[:, 0]))
    return xy, heading, columns(length, width, np.maximum(found.top_N, 0.3))


def depths(away_N2: Floats, heading_N2: Floats, size_N3: Floats) -> Floats:
    """How far a box reaches from its middle towards who looks, by where it is from there."""
    sight = away_N2 / np.maximum(np.hypot(away_N2[:, 0], away_N2[:, 1]), 0.1)[:, None]
    along = np.abs((sight * heading_N2).sum(axis=1))
    across = np.abs(sight[:, 1] * heading_N2[:, 0] - sight[:, 0] * heading_N2[:, 1])
    made: Floats = along * size_N3[:, 0] / 2 + across * size_N3[:, 1] / 2
    return made


def shown_across(found: Clusters, sensor_x_m: float) -> Floats:
    """What is seen of each across the line of sight, metres."""
    away = found.xy_N2 - [sensor_x_m, 0.0]
    sight = away / np.maximum(np.hypot(away[:, 0], away[:, 1]), 0.1)[:, None]
    along = np.abs((sight * found.axes_N2).sum(axis=1))
    across = np.abs(sight[:, 1] * found.axes_N2[:, 0] - sight[:, 0] * found.axes_N2[:, 1])
    extent = found.extent_N2
    made: Floats = across * extent[:, 0] + along * extent[:, 1]
    return made
