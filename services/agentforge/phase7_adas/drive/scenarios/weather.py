"""The same hazards where sensors see badly, and bad weather alone."""

from __future__ import annotations

from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.scenarios.roads import AVENUE, MIDDLE, OVER_THERE, PAVEMENT, RIGHT, STREET
from agentforge.phase7_adas.drive.scenarios.scenario import EgoStart, Family, Scenario, Wanted
from agentforge.phase7_adas.drive.scenarios.script import (
    Act,
    Actor,
    Heed,
    Manner,
    ToSide,
    ToSpeed,
    Walk,
    after,
    arrival,
    at,
    gap,
    person,
)
from agentforge.phase7_adas.drive.truth import Weather

FOG, NIGHT, RAIN, GLARE = Weather(fog=0.8), Weather(darkness=0.9), Weather(rain=0.9), Weather(glare=0.9)


def _weather(
    name: str,
    summary: str,
    weather: Weather,
    *actors: Actor,
    road: Road = STREET,
    wanted: Wanted = Wanted.GOES_ON,
    speed_mps: float = 12.0,
) -> Scenario:
    ego = EgoStart(speed_mps=speed_mps)
    hazard = bool(actors)
    return Scenario(name, Family.WEATHER, summary, 20.0, road, wanted, hazard, ego, actors=actors, weather=weather)


WEATHER = (
    _weather("fog_empty", "Fog, and nobody there.", FOG),
    _weather("night_empty", "Night, and nobody there.", NIGHT),
    _weather("rain_empty", "Heavy rain, and nobody there.", RAIN),
    _weather(
        "fog_stopped_lead",
        "A car stands in the fog.",
        FOG,
        Actor(110.0, RIGHT, manner=Manner.STANDS),
        wanted=Wanted.STOPS,
        speed_mps=9.0,
    ),
    _weather(
        "night_pedestrian",
        "Somebody crosses at night without a look.",
        NIGHT,
        person(90.0, PAVEMENT, acts=(Act(arrival(4.2), Walk(OVER_THERE, 1.4, heeds=False)),)),
        speed_mps=10.0,
    ),
    _weather(
        "rain_sudden_brake",
        "The car ahead brakes hard on a wet road, where the ego brakes less well.",
        RAIN,
        Actor(40.0, RIGHT, 11.0, acts=(Act(at(4.0), ToSpeed(0.0, 5.0)), Act(after(7.0), Heed(11.0)))),
        speed_mps=11.0,
    ),
    _weather(
        "glare_cut_in",
        "A car moves in close ahead, against a low sun.",
        GLARE,
        Actor(40.0, MIDDLE, 10.0, acts=(Act(gap(18.0), ToSide(RIGHT, 2.5)),)),
        road=AVENUE,
        speed_mps=13.0,
    ),
    _weather(
        "rainy_night_follow",
        "Following in rain at night.",
        Weather(rain=0.6, darkness=0.8),
        Actor(35.0, RIGHT, 10.0, acts=(Act(at(8.0), ToSpeed(5.0, 2.0)),)),
        speed_mps=10.0,
    ),
)
