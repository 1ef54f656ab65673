"""Responsibility-sensitive safety: distances that are enough if everybody behaves within stated bounds.

After Shalev-Shwartz, Shammah and Shashua, "On a formal model of safe and scalable self-driving cars" (2017). The
parameters are data and are ours; the definitions are the paper's, the graded response of `courses` is not.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RssParameters:
    response_s: float = 0.3
    """Two ticks, and the lag of the brakes."""
    accel_max_mps2: float = 1.5
    """The ego's within its response."""
    brake_min_mps2: float = 6.0
    """What the ego brakes with at least, when it must; on a wet road it has 6.3."""
    brake_max_mps2: float = 8.0
    """What others brake with at most."""
    oncoming_brake_mps2: float = 4.0
    """What those who come towards us brake with at least."""
    side_accel_mps2: float = 0.2
    side_brake_mps2: float = 0.8
    side_gap_m: float = 0.1


RSS = RssParameters()


def behind(rear_mps: float, front_mps: float, by: RssParameters = RSS) -> float:
    """Longitudinal distance needed behind one that goes the same way."""
    after = rear_mps + by.response_s * by.accel_max_mps2
    own = rear_mps * by.response_s + by.accel_max_mps2 * by.response_s**2 / 2
    own += after * after / (2 * by.brake_min_mps2)
    return max(own - front_mps * front_mps / (2 * by.brake_max_mps2), 0.0)


def towards(ego_mps: float, other_mps: float, by: RssParameters = RSS) -> float:
    """Longitudinal distance needed to one that comes towards us at `other_mps` >= 0."""

    def way(speed: float, brake: float) -> float:
        after = speed + by.response_s * by.accel_max_mps2
        return (speed + after) / 2 * by.response_s + after * after / (2 * brake)

    return way(ego_mps, by.brake_min_mps2) + way(other_mps, by.oncoming_brake_mps2)


def aside(right_mps: float, left_mps: float, by: RssParameters = RSS) -> float:
    """Lateral distance needed between two, by their lateral speeds, positive to the left."""

    def drift(towards_mps: float) -> float:
        """Way towards the other until the own lateral motion has been braked away."""
        after = towards_mps + by.response_s * by.side_accel_mps2
        way = (towards_mps + after) / 2 * by.response_s
        return way + after * abs(after) / (2 * by.side_brake_mps2)

    return by.side_gap_m + max(drift(right_mps) + drift(-left_mps), 0.0)
