"""Radar: returns as places in the ego's frame, with the speed over ground along the line of sight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentforge.phase7_adas.drive.perception.motion import columns
from agentforge.phase7_adas.drive.readings import AZIMUTH, RANGE, RANGE_RATE, SNR_DB
from agentforge.phase7_adas.drive.sensors.spec import RadarSpec
from agentforge.phase7_adas.drive.truth import SPEED, YAW_RATE, Floats, Ints

MOVES_MPS = 0.8
"""Over ground, along the line of sight; slower is as good as standing."""
LINK_M = 4.0
LINK_MPS = 1.5


@dataclass(frozen=True)
class Echoes:
    xy_N2: Floats
    """In the ego's frame."""
    range_N: Floats
    azimuth_N: Floats
    rate_N: Floats
    """As measured."""
    ground_N: Floats
    """Range rate over ground: what would be measured by a sensor that stands."""
    snr_N: Floats

    def __len__(self) -> int:
        return len(self.snr_N)


def echoes(returns_N4: Floats, ego_6: Floats, spec: RadarSpec) -> Echoes:
    far, azimuth, rate = returns_N4[:, RANGE], returns_N4[:, AZIMUTH], returns_N4[:, RANGE_RATE]
    cos, sin = np.cos(azimuth), np.sin(azimuth)
    own = ego_6[SPEED] * cos + ego_6[YAW_RATE] * spec.mount_x_m * sin
    xy = columns(spec.mount_x_m + far * cos, far * sin)
    return Echoes(xy, far, azimuth, rate, rate + own, returns_N4[:, SNR_DB])


def groups(found: Echoes, free_N: Ints) -> list[Ints]:
    """Free returns that are near each other and go alike, strongest first; each group may be one body."""
    left = free_N[np.argsort(-found.snr_N[free_N], kind="stable")]
    made = []
    while len(left):
        near = np.hypot(*(found.xy_N2[left] - found.xy_N2[left[0]]).T) < LINK_M
        near &= np.abs(found.ground_N[left] - found.ground_N[left[0]]) < LINK_MPS
        made.append(left[near])
        left = left[~near]
    return made
