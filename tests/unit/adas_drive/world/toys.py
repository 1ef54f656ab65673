"""Small scenarios for tests of the world."""

from __future__ import annotations

from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.scenarios.roads import STREET
from agentforge.phase7_adas.drive.scenarios.scenario import EgoStart, Family, Scenario, Wanted
from agentforge.phase7_adas.drive.scenarios.script import Actor
from agentforge.phase7_adas.drive.truth import Weather


def toy(
    *actors: Actor,
    road: Road = STREET,
    seconds: float = 20.0,
    speed_mps: float = 12.0,
    lane: int = 0,
    rain: float = 0.0,
) -> Scenario:
    ego = EgoStart(lane=lane, speed_mps=speed_mps)
    weather = Weather(rain=rain)
    return Scenario(
        "toy", Family.CARS, "", seconds, road, Wanted.GOES_ON, False, ego, actors=actors, weather=weather
    )
