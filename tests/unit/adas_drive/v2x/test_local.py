"""Metres and degrees, against the meridian's arc integrated by numbers, and chords between points in space."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentforge.kit.errors import InvalidInput
from agentforge.phase7_adas.drive.v2x.local import FIELD, Origin

ORIGINS = [
    FIELD,
    Origin("equator", 0.0, 0.0),
    Origin("south, dateline", -41.0, 180.0),
    Origin("far north", 70.0, -150.0),
]


@pytest.mark.parametrize("origin", ORIGINS, ids=lambda origin: origin.name)
@given(x=st.floats(-10_000, 10_000), y=st.floats(-10_000, 10_000))
def test_there_and_back_is_the_same_place(origin: Origin, x: float, y: float) -> None:
    there = origin.to_degrees(np.array([[x, y]]))
    assert np.abs(origin.to_world(*there) - [[x, y]]).max() < 1e-4
    rounded = [np.round(degrees, 7) for degrees in there]
    assert np.abs(origin.to_world(*rounded) - [[x, y]]).max() < 0.01  # half of 1e-7 degrees is 5.6 mm


@pytest.mark.parametrize("origin", ORIGINS, ids=lambda origin: origin.name)
def test_north_is_as_long_as_the_meridian(origin: Origin) -> None:
    latitude = origin.latitude_deg + 0.05  # some 5.5 km
    a, f = 6_378_137.0, 1 / 298.257223563
    e2 = f * (2 - f)
    at = np.radians(np.linspace(origin.latitude_deg, latitude, 2001))
    radius = a * (1 - e2) / (1 - e2 * np.sin(at) ** 2) ** 1.5
    arc = float(((radius[1:] + radius[:-1]) / 2 * np.diff(at)).sum())
    x, y = origin.to_world(np.array([latitude]), np.array([origin.longitude_deg]))[0]
    assert y == pytest.approx(arc, abs=0.01)
    assert x == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("origin", ORIGINS, ids=lambda origin: origin.name)
def test_distances_are_those_in_space(origin: Origin) -> None:
    """The chord between two points of the ellipsoid, by its defining equation in degrees, not by our code."""
    rng = np.random.default_rng(3)
    latitude = np.clip(origin.latitude_deg + rng.uniform(-0.04, 0.04, 50), -84, 84)
    longitude = origin.longitude_deg + rng.uniform(-0.04, 0.04, 50)
    xy = origin.to_world(latitude, longitude)
    a, b = 6_378_137.0, 6_378_137.0 * (1 - 1 / 298.257223563)
    reduced = np.arctan(b / a * np.tan(np.radians(latitude)))
    turn = np.radians(longitude)
    space = np.stack([a * np.cos(reduced) * np.cos(turn), a * np.cos(reduced) * np.sin(turn), b * np.sin(reduced)])
    chord = np.linalg.norm(space[:, 1:] - space[:, :1], axis=0)
    flat = np.hypot(*(xy[1:] - xy[0]).T)
    assert np.abs(flat - chord).max() < 0.03


def test_the_dateline_is_no_seam() -> None:
    origin = Origin("dateline", 10.0, 180.0)
    _, longitude = origin.to_degrees(np.array([[-500.0, 0.0], [500.0, 0.0]]))
    assert longitude[0] > 0 > longitude[1]
    assert np.abs(origin.to_world(np.full(2, 10.0), longitude)[:, 0] - [-500, 500]).max() < 0.01


@pytest.mark.parametrize("where", [(90.0, 0.0), (0.0, 181.0), (math.nan, 0.0), (0.0, math.inf)])
def test_an_origin_must_be_a_place_that_has_an_east(where: tuple[float, float]) -> None:
    with pytest.raises(InvalidInput) as caught:
        Origin("wrong", *where)
    assert caught.value.reason == "ORIGIN_OUT_OF_RANGE"
