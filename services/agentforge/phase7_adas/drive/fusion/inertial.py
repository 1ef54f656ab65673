"""The ego's filter: what one IMU reading and one GPS reading do to the belief."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from agentforge.phase7_adas.drive.messages import LaneFix
from agentforge.phase7_adas.drive.truth import Floats

# columns of the belief: x, y, heading, speed; what accelerometer and gyro say too much; where GPS is off to
BX, BY, BH, BV, BIAS_A, BIAS_G, OFF_X, OFF_Y = range(8)
WIDE: Final = 8

Belief: TypeAlias = tuple[Floats, Floats]
"""Mean (8) and covariance (8 x 8)."""
Push: TypeAlias = tuple[float, float]
"""Forward acceleration and yaw rate as the IMU says them."""


@dataclass(frozen=True)
class Noise:
    """Standard deviations the filter reckons with; those of the sensors' specs with some room."""

    accel_mps2: float = 0.15
    gyro_radps: float = 0.005
    coasting_accel_mps2: float = 2.0
    """Where readings are missing for longer than `gap_us`, the last one is held with this."""
    coasting_gyro_radps: float = 0.2
    gap_us: int = 25_000
    accel_walk: float = 0.006
    gyro_walk: float = 0.0005
    """Biases walk by so much in a second (per square root)."""
    compass_rad: float = 0.035
    gps_floor_m: float = 0.7
    """The receiver's claim is not believed below this."""
    gps_white: float = 0.45
    gps_off: float = 0.9
    """Parts of the claim: what changes with each fix, and what stays for `gps_off_s`: the mean of many fixes in a
    short time is no better than this."""
    gps_off_s: float = 60.0
    gps_speed_mps: float = 0.13
    side_slip_m_per_s: float = 0.03


NOISE: Final = Noise()
FIRST_HEADING: Final = 0.05
FIRST_SPEED: Final = 0.2
FIRST_BIASES: Final = (0.06, 0.004)
UNMOVED: Final[Floats] = np.eye(WIDE)

Innovation: TypeAlias = tuple[Floats, Floats, Floats]
"""Of GPS (4: x, y, vx, vy), its covariance and the measurement's Jacobian."""


def first_belief(gps_5: Floats, heading_rad: float, noise: Noise = NOISE) -> Belief:
    """The ego stands where the first fix says, less what the fix is off by, which nobody knows."""
    speed = float(gps_5[2] * math.cos(heading_rad) + gps_5[3] * math.sin(heading_rad))
    claim = max(float(gps_5[4]), noise.gps_floor_m)
    white, off = noise.gps_white * claim, noise.gps_off * claim
    place = math.hypot(white, off)
    cov = np.diag(np.array([place, place, FIRST_HEADING, FIRST_SPEED, *FIRST_BIASES, off, off]) ** 2)
    for here, there in ((BX, OFF_X), (BY, OFF_Y)):
        cov[here, there] = cov[there, here] = -(off**2)
    return np.array([gps_5[0], gps_5[1], heading_rad, speed, 0.0, 0.0, 0.0, 0.0]), cov


def forward(belief: Belief, push: Push, dt_s: float, noise: Noise = NOISE) -> Belief:
    """Dead reckoning over `dt_s` with this push held."""
    if dt_s <= 0:
        return belief
    mean, cov = belief
    x, y, heading, speed, bias_a, bias_g, off_x, off_y = mean.tolist()
    accel, turn = push[0] - bias_a, push[1] - bias_g
    middle, along = heading + turn * dt_s / 2, speed + accel * dt_s / 2
    cos, sin = math.cos(middle), math.sin(middle)
    step = along * dt_s
    keeps = math.exp(-dt_s / noise.gps_off_s)
    new = np.array([
        x + step * cos, y + step * sin, heading + turn * dt_s, speed + accel * dt_s, bias_a, bias_g,
        keeps * off_x, keeps * off_y,
    ])  # fmt: skip
    move = UNMOVED.copy()
    move[OFF_X, OFF_X] = move[OFF_Y, OFF_Y] = keeps
    move[BX, BH], move[BY, BH] = -step * sin, step * cos
    move[BX, BV], move[BY, BV] = dt_s * cos, dt_s * sin
    move[BX, BIAS_A], move[BY, BIAS_A] = -(dt_s**2) / 2 * cos, -(dt_s**2) / 2 * sin
    move[BH, BIAS_G] = move[BV, BIAS_A] = -dt_s
    coasting = dt_s * 1e6 > noise.gap_us
    sigma_a = noise.coasting_accel_mps2 if coasting else noise.accel_mps2
    sigma_g = noise.coasting_gyro_radps if coasting else noise.gyro_radps
    added: Floats = move.dot(cov).dot(move.T)  # on matrices so small half of the time of @
    added[BV, BV] += (sigma_a * dt_s) ** 2
    added[BH, BH] += (sigma_g * dt_s) ** 2
    added[BIAS_A, BIAS_A] += noise.accel_walk**2 * dt_s
    added[BIAS_G, BIAS_G] += noise.gyro_walk**2 * dt_s
    side = (noise.side_slip_m_per_s * dt_s) ** 2
    added[BX, BX] += side
    added[BY, BY] += side
    wander = noise.gps_off**2 * (1.0 - keeps**2)
    added[OFF_X, OFF_X] += wander
    added[OFF_Y, OFF_Y] += wander
    return new, added


def push_of(imu_9: Floats) -> Push:
    return float(imu_9[0]), float(imu_9[5])


def compass_of(imu_9: Floats) -> float:
    """Heading by the magnet's north, which lies along the world's y; NaN where the field has no direction."""
    east, north = float(imu_9[6]), float(imu_9[7])
    return math.atan2(east, north) if math.hypot(east, north) > 0.2 else math.nan


def turn_to(angle: float) -> float:
    """The same direction between -pi and pi."""
    return (angle + math.pi) % (2 * math.pi) - math.pi


def with_compass(belief: Belief, heading_rad: float, noise: Noise = NOISE) -> tuple[Belief, float]:
    """The belief with the compass, and the innovation squared over its variance (1 degree of freedom)."""
    mean, cov = belief
    variance = float(cov[BH, BH]) + noise.compass_rad**2
    off = turn_to(heading_rad - float(mean[BH]))
    gain = cov[:, BH] / variance
    return (mean + gain * off, _symmetric(cov - gain[:, None] * cov[BH])), off * off / variance


def gps_innovation(belief: Belief, gps_5: Floats, noise: Noise = NOISE) -> Innovation:
    mean, cov = belief
    cos, sin = math.cos(mean[BH]), math.sin(mean[BH])
    speed = float(mean[BV])
    jacobian = np.zeros((4, WIDE))
    jacobian[0, BX] = jacobian[1, BY] = jacobian[0, OFF_X] = jacobian[1, OFF_Y] = 1.0
    jacobian[2, BH], jacobian[2, BV] = -speed * sin, cos
    jacobian[3, BH], jacobian[3, BV] = speed * cos, sin
    told = np.array([mean[BX] + mean[OFF_X], mean[BY] + mean[OFF_Y], speed * cos, speed * sin])
    place = (noise.gps_white * max(float(gps_5[4]), noise.gps_floor_m)) ** 2
    spread = jacobian @ cov @ jacobian.T + np.diag([place, place] + [noise.gps_speed_mps**2] * 2)
    return gps_5[:4] - told, spread, jacobian


def with_gps(belief: Belief, innovation: Innovation) -> Belief:
    (mean, cov), (off, spread, jacobian) = belief, innovation
    gain = np.linalg.solve(spread, jacobian @ cov).T
    return mean + gain @ off, _symmetric(cov - gain @ spread @ gain.T)


def with_lane(belief: Belief, fix: LaneFix) -> tuple[Belief, float]:
    """The belief with a place across the road, and the innovation squared over its variance (1 degree)."""
    mean, cov = belief
    (nx, ny), (x, y, heading) = fix.normal_2.tolist(), mean[:BV].tolist()
    ahead_x, ahead_y = fix.ahead_m * math.cos(heading), fix.ahead_m * math.sin(heading)
    slope = np.zeros(WIDE)
    slope[BX], slope[BY], slope[BH] = nx, ny, ny * ahead_x - nx * ahead_y
    off = fix.offset_m - (nx * (x + ahead_x) + ny * (y + ahead_y))
    along = cov @ slope
    variance = float(slope @ along) + fix.sigma_m**2
    gain = along / variance
    return (mean + gain * off, _symmetric(cov - gain[:, None] * along)), off * off / variance


def _symmetric(cov: Floats) -> Floats:
    half: Floats = cov + cov.T
    half /= 2
    return half
