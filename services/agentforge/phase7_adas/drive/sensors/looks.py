"""What a face looks like, by kind and side: small pictures, read at the nearest place while painting."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cache

import numpy as np
from numpy.typing import NDArray

from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.truth import HEIGHT, Floats, Ints, Kind

Picture = NDArray[np.float32]
SIDE = 64
# layers of the atlas
OF_ALBEDO, FIXED, KEPT, GLOW = range(4)


class Look(IntEnum):
    CAR_END = 0
    CAR_SIDE = 1
    LORRY_END = 2
    LORRY_SIDE = 3
    CYCLIST_END = 4
    CYCLIST_SIDE = 5
    PEDESTRIAN = 6
    OBSTACLE = 7
    OBSTACLE_OTHER = 8


@dataclass(frozen=True)
class _Square:
    """Down from the top and across from the left, both 0 to 1."""

    down: Picture
    across: Picture


@cache
def atlas() -> Picture:
    """(look, row, column, layer); brightness = albedo x OF_ALBEDO + FIXED, where KEPT; GLOW needs no light."""
    place = ((np.arange(SIDE) + 0.5) / SIDE).astype(np.float32)
    square = _Square(*(np.ascontiguousarray(each) for each in np.meshgrid(place, place, indexing="ij")))
    made = np.stack([_draw(look, square) for look in Look])
    grain = Rng(0, "adas/drive/sensors/grain").numpy().standard_normal(made.shape[:3]) * 6.0
    made[..., FIXED] += grain
    return made.astype(np.float32)


def looks(kind_NF: Ints, long_NF: Floats, size_N3: Floats) -> Ints:
    """Of each face; `long` is its length on the ground."""
    vehicle = np.where(long_NF > 2.8, Look.CAR_SIDE, Look.CAR_END)
    vehicle = vehicle + np.where(size_N3[:, HEIGHT, None] < 2.3, 0, Look.LORRY_END)
    cyclist = np.where(long_NF < 1.0, Look.CYCLIST_END, Look.CYCLIST_SIDE)
    thing = np.where(long_NF * 10 % 2 < 1.0, Look.OBSTACLE, Look.OBSTACLE_OTHER)
    found: Ints = np.select(
        [kind_NF == Kind.VEHICLE, kind_NF == Kind.CYCLIST, kind_NF == Kind.PEDESTRIAN],
        [vehicle, cyclist, np.full_like(vehicle, Look.PEDESTRIAN)],
        thing,
    ).astype(np.int64)
    return found


def _draw(look: Look, square: _Square) -> Picture:
    made = np.zeros((SIDE, SIDE, 4), dtype=np.float32)
    made[..., KEPT] = 1.0
    if look <= Look.LORRY_SIDE:
        _vehicle(made, square, look)
    elif look == Look.CYCLIST_END:
        down, off = square.down, np.abs(square.across - 0.5)
        made[..., KEPT] = off < np.where(down < 0.15, 0.2, np.where(down < 0.6, 0.42, 0.14))
        made[..., OF_ALBEDO] = down < 0.6
        made[..., FIXED] = np.where(down < 0.6, 0.0, 25.0)
    elif look == Look.CYCLIST_SIDE:
        _bicycle(made, square)
    elif look == Look.PEDESTRIAN:
        down, off = square.down, np.abs(square.across - 0.5)
        made[..., KEPT] = np.where(
            down < 0.14, off < 0.22, np.where(down < 0.55, off < 0.5, abs(off - 0.23) < 0.17)
        )
        made[..., OF_ALBEDO] = np.where(down < 0.14, 0.0, np.where(down < 0.55, 1.0, 0.6))
        made[..., FIXED] = np.where(down < 0.14, 140.0, 0.0)
    else:
        split = 0.4 if look == Look.OBSTACLE else 0.8
        made[..., OF_ALBEDO] = np.where(square.down + 0.3 * square.across > split, 1.0, 0.5)
    return made


def _vehicle(made: Picture, square: _Square, look: Look) -> None:
    """Windows, tyres and their shadow, lamps at an end's corners; a lorry has a plain wall."""
    down, across = square.down, square.across
    dark = down > 0.86
    if look in (Look.CAR_END, Look.CAR_SIDE):
        dark = dark | ((down > 0.08) & (down < 0.42) & (np.abs(across - 0.5) < 0.42))
    made[..., OF_ALBEDO] = ~dark
    made[..., FIXED] = np.where(dark, 24.0, 0.0)
    if look in (Look.CAR_END, Look.LORRY_END):
        made[..., GLOW] = 80.0 * ((np.abs(down - 0.57) < 0.07) & (np.abs(across - 0.5) > 0.34))


def _bicycle(made: Picture, square: _Square) -> None:
    """From the side: a rider above two rings."""
    down, across = square.down, square.across
    ring = np.hypot(np.minimum(np.abs(across - 0.2), np.abs(across - 0.8)) * 1.8, (1.0 - down) * 1.75 - 0.33)
    rider = (np.abs(across - 0.45) < 0.16) & (down < 0.62)
    frame = (np.abs(down - 0.66) < 0.04) & (np.abs(across - 0.5) < 0.3)
    made[..., KEPT] = rider | frame | (np.abs(ring - 0.29) < 0.07)
    made[..., OF_ALBEDO] = rider
    made[..., FIXED] = np.where(rider, 0.0, 25.0)
