"""What planning goes by, as data. Found by the closed loop with ideal tracks; each unit is in the name."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agentforge.phase7_adas.drive.messages import Mode
from agentforge.phase7_adas.drive.world import limits


@dataclass(frozen=True)
class Settings:
    # hard: what goes beyond is refused
    most_accel_mps2: float = 2.0
    most_brake_mps2: float = 8.0
    most_jerk_mps3: float = 25.0
    most_side_mps2: float = 4.5
    most_curvature_per_m: float = limits.MAX_CURVATURE_PER_M * 0.95
    over_speed_mps: float = 0.7
    """Above the limit."""
    kerb_gap_m: float = 0.1
    # comfort: what is aimed at
    side_mps2: float = 2.0
    brake_mps2: float = 1.8
    """Before bends and places of caution."""
    firm_mps2: float = 2.5
    # distance
    speed_part: float = 1.0
    """Of the speed limit."""
    response_s: float = 0.5
    ego_brake_mps2: float = 5.0
    lead_brake_mps2: float = 8.0
    gap_m: float = 4.0
    """To what stands ahead, in the end."""
    time_gap_s: float = 0.6
    """More than the distance that the brakes need, per speed."""
    # uncertainty
    overlook: float = 0.02
    """Probability of a collision that inflation leaves, for one way at one instant."""
    likely: float = 0.1
    """Ways less probable than this cost, but do not refuse."""
    unsure: float = 0.05
    """Weight of a track that one kind of sensor alone has told of just now."""
    most_sigmas: float = 2.0
    along_m: float = 0.7
    across_m: float = 0.3
    most_along_m: float = 2.0
    """Of inflation by sigma, along the road; further out distance-keeping is what counts."""
    most_across_m: float = 0.35
    # caution: speed beside what may step out
    parked_mps: float = 9.0
    walker_mps: float = 8.0
    caution_ahead_m: float = 70.0


NORMAL = Settings()
DEGRADED = replace(NORMAL, speed_part=0.7, gap_m=5.0, time_gap_s=1.2, parked_mps=7.0, walker_mps=6.0)

BY_MODE = {
    Mode.NORMAL: NORMAL,
    Mode.DEGRADED: DEGRADED,
    Mode.MINIMAL_RISK: DEGRADED,
    Mode.EMERGENCY: DEGRADED,
    Mode.STOPPED: DEGRADED,
}
EGO_LENGTH_M, EGO_WIDTH_M, _ = limits.EGO_SIZE
