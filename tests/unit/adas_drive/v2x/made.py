"""Messages for tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from agentforge.phase7_adas.drive.v2x.bsm import CORE
from agentforge.phase7_adas.drive.v2x.envelope import Envelope, What
from agentforge.phase7_adas.drive.v2x.local import FIELD
from agentforge.phase7_adas.drive.v2x.signing import Signer, Unsigned
from agentforge.phase7_adas.drive.v2x.station import Station
from agentforge.phase7_adas.drive.v2x.told import Told
from agentforge.phase7_adas.drive.v2x.wire_bsm import core_of

TOLD = Told(7, 5_000_000, 30.0, -40.0, 1.0, 20.0, -1.0, 0.1)


def degrees(told: Told) -> tuple[float, float]:
    latitude, longitude = FIELD.to_degrees(np.array([[told.x_m, told.y_m]]))
    return float(latitude[0]), float(longitude[0])


def said(station: Station, told: Told) -> list[bytes]:
    return station.step(told, *degrees(told))


def bsm(told: Told = TOLD, sequence: int = 0, signer: Signer | None = None, **core: int) -> bytes:
    """One sealed BSM; `core` overrides fields of it."""
    values = core_of(told, *degrees(told), sequence) | core
    covered = Envelope(What.BSM, told.station, sequence, told.t_us, CORE.write(values)).covered()
    return covered + (signer or Unsigned()).sign(covered)


def drive(told: Told, seconds: float) -> Told:
    """The same vehicle later, straight on at its speed."""
    way = told.speed_mps * seconds
    return replace(
        told,
        t_us=told.t_us + round(seconds * 1e6),
        x_m=told.x_m + way * np.cos(told.heading_rad),
        y_m=told.y_m + way * np.sin(told.heading_rad),
    )


def stream(told: Told = TOLD, count: int = 20, signer: Signer | None = None) -> list[tuple[int, bytes]]:
    """BSMs at 10 Hz with the instants at which they are sent."""
    later = [drive(told, n / 10) for n in range(count)]
    return [(each.t_us, bsm(each, n, signer)) for n, each in enumerate(later)]
