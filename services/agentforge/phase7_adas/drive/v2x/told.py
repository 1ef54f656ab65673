"""What a vehicle tells of itself, in the world's units, before it becomes bits and after."""

from __future__ import annotations

from dataclasses import dataclass

from agentforge.phase7_adas.drive.truth import Kind


@dataclass(frozen=True)
class Told:
    """Heading is the body's, in the world's frame; speed is negative in reverse."""

    station: int
    t_us: int
    x_m: float
    y_m: float
    heading_rad: float
    speed_mps: float
    accel_mps2: float = 0.0
    yaw_rate_radps: float = 0.0
    length_m: float = 4.5
    width_m: float = 1.85
    sigma_m: float = 1.0
    """One standard deviation of its position, per axis, by its own claim."""
    kind: Kind = Kind.VEHICLE
