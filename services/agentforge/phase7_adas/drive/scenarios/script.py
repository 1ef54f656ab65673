"""What other road users are and do: bodies with sizes, and acts that wait for something."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum

from agentforge.phase7_adas.drive.truth import Kind


class Until(StrEnum):
    """What an act waits for; `value` of When means what stands behind each."""

    TIME = "time"  # seconds since the start
    AFTER = "after"  # seconds since the actor's act before this one began
    GAP = "gap"  # metres along the road between the nearest ends of actor and ego, at most this
    ARRIVAL = "arrival"  # seconds until the ego and the actor are level, at their present speeds, at most this


@dataclass(frozen=True)
class When:
    until: Until
    value: float


def at(seconds: float) -> When:
    return When(Until.TIME, seconds)


def after(seconds: float) -> When:
    return When(Until.AFTER, seconds)


def gap(metres: float) -> When:
    return When(Until.GAP, metres)


def arrival(seconds: float) -> When:
    return When(Until.ARRIVAL, seconds)


@dataclass(frozen=True)
class ToSpeed:
    """Brakes or speeds up, heeding nobody, until it has the speed; then holds it."""

    speed_mps: float
    accel_mps2: float


@dataclass(frozen=True)
class Heed:
    """Drives by IDM again, wishing for this speed."""

    speed_mps: float


@dataclass(frozen=True)
class ToSide:
    """Moves to this place beside the reference line. Most of the way is done in `seconds`."""

    d_m: float
    seconds: float = 3.0


@dataclass(frozen=True)
class Walk:
    """Walks to this place beside the reference line; one who heeds waits for a gap that is long enough."""

    d_m: float
    speed_mps: float = 1.4
    heeds: bool = True


Deed = ToSpeed | Heed | ToSide | Walk


@dataclass(frozen=True)
class Act:
    when: When
    do: Deed


class Manner(Enum):
    """How a body moves between acts."""

    DRIVES = "drives"  # along the road, IDM
    CRUISES = "cruises"  # along the road at its speed, heeding nobody
    WALKS = "walks"  # across, or not at all
    STANDS = "stands"  # debris, parked cars


Size = tuple[float, float, float]
CAR: Size = (4.5, 1.85, 1.5)
VAN: Size = (5.4, 2.0, 2.2)
LORRY: Size = (9.5, 2.5, 3.4)
BICYCLE: Size = (1.8, 0.6, 1.75)
PERSON: Size = (0.45, 0.55, 1.75)
CHILD: Size = (0.35, 0.4, 1.2)
BOX: Size = (1.0, 1.2, 0.7)


@dataclass(frozen=True)
class Actor:
    """One road user but the ego. `ahead_m` is between its centre and the ego's at the start, along the road."""

    ahead_m: float
    d_m: float
    speed_mps: float = 0.0
    kind: Kind = Kind.VEHICLE
    size: Size = CAR
    manner: Manner = Manner.DRIVES
    against: bool = False
    """Goes against s: oncoming, or the wrong way."""
    wishes_mps: float | None = None
    """Its free speed; None: the speed it starts with."""
    changes_lanes: bool = False
    talks: bool = False
    """Tells of itself by V2X; its station is its id."""
    acts: tuple[Act, ...] = ()
    """In order: each waits for the one before."""


def person(
    ahead_m: float,
    d_m: float,
    *,
    speed_mps: float = 0.0,
    size: Size = PERSON,
    manner: Manner = Manner.WALKS,
    acts: tuple[Act, ...] = (),
) -> Actor:
    """Somebody on foot; who CRUISES walks along the road."""
    return Actor(ahead_m, d_m, speed_mps, Kind.PEDESTRIAN, size, manner, acts=acts)


def cyclist(ahead_m: float, d_m: float, speed_mps: float, *acts: Act) -> Actor:
    return Actor(ahead_m, d_m, speed_mps, Kind.CYCLIST, BICYCLE, acts=acts)


def thing(ahead_m: float, d_m: float, *, size: Size = BOX) -> Actor:
    """Something that lies on the road."""
    return Actor(ahead_m, d_m, 0.0, Kind.OBSTACLE, size, Manner.STANDS)
