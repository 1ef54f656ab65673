"""What a message told, in the order of its columns; NaN where it told nothing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agentforge.phase7_adas.drive.truth import Floats, Ints, Kind
from agentforge.phase7_adas.drive.v2x import wire_bsm as wire
from agentforge.phase7_adas.drive.v2x.bsm import CORE, REVERSE


class Heard(NamedTuple):
    latitude_deg: float
    longitude_deg: float
    heading_rad: float
    speed_mps: float
    sigma_m: float
    length_m: float
    width_m: float
    kind: float


LATITUDE, LONGITUDE, HEADING, SPEED, SIGMA, LENGTH, WIDTH, KIND = range(8)


# of BSM's CORE, in the order of Heard: field, what one step of it is, and the value that means 'unknown'
FIELDS = (
    ("lat", wire.DEGREE, wire.LATITUDE_UNKNOWN),
    ("long", wire.DEGREE, wire.LONGITUDE_UNKNOWN),
    ("heading", np.radians(wire.HEADING_DEG), wire.HEADING_UNKNOWN),
    ("speed", wire.SPEED_MPS, wire.SPEED_UNKNOWN),
    ("semiMajor", wire.SIGMA_M, wire.SIGMA_UNKNOWN),
    ("length", wire.SIZE_M, 0),
    ("width", wire.SIZE_M, 0),
)
COLUMN_7, STEP_7, UNKNOWN_7 = (
    np.array(each) for each in zip(*((CORE.at[name], step, unknown) for name, step, unknown in FIELDS), strict=True)
)


def heard_of_cores(core_NF: Ints) -> Floats:
    """Rows of Heard from rows of CORE. Only vehicles send BSMs, so each is one."""
    raw_N7 = core_NF[:, COLUMN_7]
    out_N8 = np.full((len(core_NF), len(Heard._fields)), float(Kind.VEHICLE))
    out_N8[:, :KIND] = np.where(raw_N7 == UNKNOWN_7, np.nan, raw_N7 * STEP_7)
    turn_N = np.pi / 2 - out_N8[:, HEADING]  # from the compass: from -3/2 pi to pi/2
    out_N8[:, HEADING] = turn_N + 2 * np.pi * (turn_N < -np.pi)
    out_N8[core_NF[:, CORE.at["transmission"]] == REVERSE, SPEED] *= -1.0
    return out_N8
