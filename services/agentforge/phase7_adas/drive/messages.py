"""What agents tell each other: detections, tracks, predictions, a plan, a verdict, a command."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.truth import Floats, Ints

# columns of Tracks.mean_N4, and of Ego.mean_6 up to VY
PX, PY, VX, VY = range(4)
# columns of Plan.states_T5
PLAN_X, PLAN_Y, PLAN_HEADING, PLAN_SPEED, PLAN_ACCEL = range(5)

PREDICTION_STEP_S, PREDICTION_STEPS = 0.2, 20
PLAN_STEP_S, PLAN_STEPS = 0.1, 40


class Source(IntFlag):
    """Which kinds of sensor stand behind a detection or a track."""

    NONE = 0
    CAMERA = 1
    RADAR = 2
    LIDAR = 4
    V2X = 8


@dataclass(frozen=True)
class Detections:
    """Perception's word on one instant, in the ego's frame at `t_us`. N may be zero."""

    t_us: int
    xy_N2: Floats
    """Centre of the box."""
    cov_N22: Floats
    size_N3: Floats
    kind_N: Ints
    confidence_N: Floats
    """Calibrated: of detections told with 0.9, nine in ten are there."""
    range_rate_N: Floats
    """m/s by radar, relative to the sensor's own motion included; NaN without radar."""
    sources_N: Ints
    """Source flags."""
    depth_N: Floats
    """How far the centre is believed behind the side that was seen, metres along the line of sight: what is taken
    for a person and what is taken for a car have that side in common, not the centre."""
    echo_rad_N: Floats
    """Bearing from the radar of the echo that told the range rate, to the left of ahead; NaN without radar."""


@dataclass(frozen=True)
class Ego:
    """Fusion's belief of the ego's own state, in the world's frame."""

    t_us: int
    state_6: Floats
    """Columns of truth.Bodies.state_N6."""
    cov_66: Floats
    trusted: bool
    """False when what it stands on contradicts itself or is too old."""
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class LaneFix:
    """Marks on the road against the map: how far across the road the ego is, and nothing of how far along.

    At `t_us`, normal_2 . (the place `ahead_m` ahead of the ego) was `offset_m`, in the frame of the world.
    """

    t_us: int
    normal_2: Floats
    ahead_m: float
    offset_m: float
    sigma_m: float


@dataclass(frozen=True)
class Tracks:
    """Confirmed tracks in the world's frame, sorted by id. Ids are never used twice."""

    t_us: int
    id_N: Ints
    mean_N4: Floats
    cov_N44: Floats
    size_N3: Floats
    kind_N: Ints
    existence_N: Floats
    """Probability that something is there."""
    sources_N: Ints
    """Source flags that supported it within the last half second."""
    age_us_N: Ints
    """Since its birth."""
    unseen_us_N: Ints
    """Since its last detection."""


@dataclass(frozen=True)
class Predictions:
    """K ways that each track may go: its centre every PREDICTION_STEP_S after t_us, in the frame of the world."""

    t_us: int
    id_N: Ints
    xy_NKT2: Floats
    probability_NK: Floats
    """Sums to one for each track."""
    sigma_NKT: Floats
    """Standard deviation of the centre, metres, per axis."""


class Mode(IntEnum):
    """From best to worst; back up only from STOPPED, or after a stated time without a fault."""

    NORMAL = 0
    DEGRADED = 1
    MINIMAL_RISK = 2
    EMERGENCY = 3
    STOPPED = 4


@dataclass(frozen=True)
class Command:
    accel_mps2: float
    curvature_per_m: float


@dataclass(frozen=True)
class Plan:
    """What the ego means to do from t_us on. `command` is its first step."""

    t_us: int
    states_T5: Floats
    command: Command
    feasible: bool
    """False: no candidate was free of collisions and within limits; states are the hardest stop that was found."""
    candidates: int
    refused: dict[str, int] = field(default_factory=dict)
    """How many candidates fell to which test. Of "collision" only those count that were looked at: of those that
    could still be the cheapest."""
    cost: float = float("nan")


@dataclass(frozen=True)
class Fault:
    """Something the monitor saw. `code` is one of safety.faults.CODES."""

    code: str
    seen_us: int
    where: str
    fact: str


@dataclass(frozen=True)
class Verdict:
    """What is really driven."""

    t_us: int
    mode: Mode
    command: Command
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class StageTimes:
    """Measured wall time of one tick's stages, ms; a stage that did not run is NaN."""

    fusion_ms: float
    perception_ms: float
    prediction_ms: float
    planning_ms: float
    monitor_ms: float
    total_ms: float
    """From the tick's beginning to the verdict."""
    ahead_ms: float
    """Before the tick: what perception made of readings as they came, since the last one. Not in `total_ms`."""
    heard_ms: float
    """Likewise by fusion."""


def no_detections(t_us: int) -> Detections:
    none: NDArray[np.float64] = np.zeros(0)
    zero: Ints = np.zeros(0, dtype=np.int64)
    return Detections(
        t_us, np.zeros((0, 2)), np.zeros((0, 2, 2)), np.zeros((0, 3)), zero, none, none, zero, none, none
    )
