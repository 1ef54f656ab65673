"""What a scenario is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from agentforge.phase7_adas.drive.injected import InjectedFault
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.scenarios.script import Actor
from agentforge.phase7_adas.drive.truth import Weather

CLEAR: Final = Weather()


class Family(StrEnum):
    NOMINAL = "nominal"
    CARS = "cars"
    PEOPLE = "people"
    WEATHER = "weather"
    SENSORS = "sensors"
    STAGES = "stages"
    V2X = "v2x"


class Wanted(StrEnum):
    """What must come out. Whatever is wanted, the ego must cause no collision."""

    GOES_ON = "goes on"  # in the end it drives again, or still; slowing on the way is right
    STOPS = "stops"  # it stands in the end, because something is in its way
    MINIMAL_RISK = "minimal risk"  # it brings itself to a safe stop, because it cannot go on trusting itself


@dataclass(frozen=True)
class EgoStart:
    s_m: float = 60.0
    lane: int = 0
    speed_mps: float = 12.0


@dataclass(frozen=True)
class Scenario:
    name: str
    family: Family
    summary: str
    seconds: float
    road: Road
    wanted: Wanted
    hazard: bool
    """An ego that holds its lane and speed and sees nothing collides. Asserted by the tests."""
    ego: EgoStart = EgoStart()
    lane: int | None = None
    """The lane that the route wants; None: the one it starts in."""
    actors: tuple[Actor, ...] = ()
    weather: Weather = CLEAR
    faults: tuple[InjectedFault, ...] = ()
    """One at most in the catalogue: that is what "single fault" means in the safety case."""
