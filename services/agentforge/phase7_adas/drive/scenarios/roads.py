"""The roads that scenarios happen on, and places across them."""

from __future__ import annotations

from typing import Final

from agentforge.phase7_adas.drive.road import Road

STREET: Final = Road(((1500.0, 0.0),), lanes=2, oncoming=1)
"""In town, one lane each way."""
AVENUE: Final = Road(((2000.0, 0.0),), lanes=3, oncoming=1, speed_limit_mps=16.7)
"""Two lanes the ego's way."""
MOTORWAY: Final = Road(((3000.0, 0.0),), lanes=2, speed_limit_mps=27.8)
COUNTRY: Final = Road(((2500.0, 0.0),), lanes=2, oncoming=1, speed_limit_mps=22.2)
BENDS: Final = Road(
    ((120.0, 0.0), (140.0, 1 / 150), (80.0, 0.0), (160.0, -1 / 120), (1000.0, 0.0)), lanes=2, oncoming=1
)
TIGHT: Final = Road(
    ((110.0, 0.0), (60.0, 1 / 45), (60.0, 0.0), (60.0, -1 / 45), (1000.0, 0.0)), lanes=2, oncoming=1
)

LANE: Final = STREET.lane_width_m
RIGHT, MIDDLE, LEFT = LANE * 0.5, LANE * 1.5, LANE * 2.5
"""Centres of the first, second and third lane, as `d`."""
KERB: Final = -1.1
"""Where cars park: their left side is just off the road."""
PAVEMENT: Final = -2.9
"""Where people stand; beyond the parked cars."""
OVER_THERE: Final = 9.0
"""The other side of a street."""
