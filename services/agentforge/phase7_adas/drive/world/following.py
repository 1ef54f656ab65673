"""Car following: the intelligent driver model (Treiber, Hennecke, Helbing 2000), for all drivers at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentforge.phase7_adas.drive.truth import Floats
from agentforge.phase7_adas.drive.world.users import HARDEST_BRAKE_MPS2, Users

# columns of Users.driver_N4
FREE_ACCEL, EASY_BRAKE, TIME_GAP, STANDING_GAP = range(4)
ASIDE_M = 0.3
"""Who is nearer to one's own way than this is followed."""


@dataclass(frozen=True)
class Along:
    """The ego as others see it: its place, extents and speed in the road's frame."""

    s_m: float
    d_m: float
    lean_rad: float
    speed_mps: float
    half_along_m: float
    half_across_m: float

    @property
    def onward_mps(self) -> float:
        return self.speed_mps * float(np.cos(self.lean_rad))

    @property
    def aside_mps(self) -> float:
        """Towards the left of the road."""
        return self.speed_mps * float(np.sin(self.lean_rad))


def idm(speed_N: Floats, wish_N: Floats, gap_N: Floats, closing_N: Floats, driver_N4: Floats) -> Floats:
    """Acceleration; `gap_N` is infinite where nobody is ahead."""
    free, easy = driver_N4[:, FREE_ACCEL], driver_N4[:, EASY_BRAKE]
    wanted = driver_N4[:, STANDING_GAP] + np.maximum(
        0.0, speed_N * driver_N4[:, TIME_GAP] + speed_N * closing_N / (2 * np.sqrt(free * easy))
    )
    near = wanted / np.maximum(gap_N, 0.1)
    accel = free * (1.0 - (speed_N / np.maximum(wish_N, 0.1)) ** 4 - near**2)
    return np.asarray(np.clip(accel, -HARDEST_BRAKE_MPS2, free))


def leaders(users: Users, ego: Along) -> tuple[Floats, Floats]:
    """Gap to whoever is nearest ahead in each one's way, the ego included, and the speed at which it closes."""
    reach = users.reach_N2()
    s = np.append(users.s_N, ego.s_m)
    d = np.append(users.d_N, ego.d_m)
    onward = np.append(users.onward_N(), ego.onward_mps)
    half_along = np.append(reach[:, 0], ego.half_along_m)
    half_across = np.append(reach[:, 1], ego.half_across_m)
    n = users.count
    ahead = users.along_N[:, None] * (s[None, :] - s[:n, None])
    gap = ahead - half_along[None, :] - half_along[:n, None]
    # the way reaches from where one is to where one means to be
    right = np.minimum(users.d_N, users.want_d_N) - half_across[:n] - ASIDE_M
    left = np.maximum(users.d_N, users.want_d_N) + half_across[:n] + ASIDE_M
    inside = (d[None, :] + half_across[None, :] > right[:, None]) & (
        d[None, :] - half_across[None, :] < left[:, None]
    )
    gap = np.where(inside & (ahead > 0), gap, np.inf)
    np.fill_diagonal(gap, np.inf)
    nearest = np.argmin(gap, axis=1)
    rows = np.arange(n)
    closing = users.along_N * (onward[:n] - onward[nearest])
    return gap[rows, nearest], closing


def follow(users: Users, ego: Along) -> None:
    """Drivers decide: braking for whoever is in their way, or towards their wish."""
    gap, closing = leaders(users, ego)
    accel = idm(users.speed_N, users.wish_mps_N, gap, np.where(np.isinf(gap), 0.0, closing), users.driver_N4)
    users.want_accel_N = np.where(users.drives_N, accel, users.want_accel_N)
