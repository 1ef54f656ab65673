"""What an agent is, and what each is given: one typed input, one typed output, one deadline."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from agentforge.phase7_adas.drive.messages import Detections, Ego, LaneFix, Mode, Plan, Predictions, Tracks
from agentforge.phase7_adas.drive.readings import CameraReading, GpsReading, ImuReading, LidarReading, RadarReading
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.truth import Kind

Given = TypeVar("Given", contravariant=True)
Made = TypeVar("Made", covariant=True)

# Ceilings of the seeds, ms. They add up to more than the whole may take; both are reported.
FUSION_MS, PERCEPTION_MS, PREDICTION_MS, PLANNING_MS = 3.0, 5.0, 8.0, 10.0
TOTAL_MS, TOTAL_AIM_MS = 10.0, 8.0


class Agent(Protocol[Given, Made]):
    """Knows nothing of other agents; keeps its own state; never waits."""

    name: str
    deadline_ms: float

    def step(self, given: Given) -> Made: ...


@dataclass(frozen=True)
class Motion:
    """Given to localisation (fusion's first half): what arrived and was not heard before, oldest first."""

    t_us: int
    """Now."""
    imu: tuple[ImuReading, ...]
    gps: tuple[GpsReading, ...]
    lanes: tuple[LaneFix, ...] = ()
    """What perception made of the last tick's picture."""


@dataclass(frozen=True)
class Sight:
    """Given to perception: the newest reading of each sensor that arrived since the last tick, or None."""

    t_us: int
    ego: Ego
    camera: CameraReading | None
    radar: RadarReading | None
    lidar: LidarReading | None
    road: Road | None = None
    """The map, where marks on the road are to be held against it."""


class Looks(Agent[Sight, Detections], Protocol):
    """Perception: most of what a picture or a sweep tells needs nothing else, and is made when it comes."""

    def ahead(self, reading: CameraReading | LidarReading) -> None:
        """`step` takes up what was made of this reading, and makes it itself where nothing was."""

    def marks(self, given: Sight) -> LaneFix | None:
        """After `step`, of the same sight: where across the road the ego is by what is painted on it."""


@dataclass(frozen=True)
class Neighbour:
    """A station that told of itself by V2X, in the world's frame; its word is evidence, not truth."""

    station: int
    t_us: int
    x_m: float
    y_m: float
    heading_rad: float
    speed_mps: float
    sigma_m: float
    length_m: float
    width_m: float
    kind: Kind


@dataclass(frozen=True)
class Seen:
    """Given to tracking (fusion's second half)."""

    t_us: int
    ego: Ego
    detections: Detections
    neighbours: tuple[Neighbour, ...] = ()


@dataclass(frozen=True)
class Moving:
    """Given to prediction."""

    tracks: Tracks
    road: Road


@dataclass(frozen=True)
class Scene:
    """Given to planning. `mode` is the monitor's last word: it bounds what may be planned."""

    t_us: int
    ego: Ego
    tracks: Tracks
    predictions: Predictions
    road: Road
    lane: int
    """The lane that the route wants."""
    mode: Mode


@dataclass(frozen=True)
class Watched:
    """Given to the monitor, each tick, whatever is missing."""

    t_us: int
    ego: Ego
    detections: Detections | None
    tracks: Tracks | None
    predictions: Predictions | None
    plan: Plan | None
    road: Road
    arrived_us: dict[str, int]
    """By sensor: when its last reading arrived; a sensor that never spoke is missing."""
    taken_us: dict[str, int]
    """By sensor: the last reading's own stamp."""
    late_ms: dict[str, float]
    """Stages that overran in this tick, and by how much."""
    changed_us: dict[str, int] = field(default_factory=dict)
    """By sensor: when its last reading arrived whose payload was not that of the one before; empty payloads count
    as changed. A sensor that is missing here is not watched for freezing."""
