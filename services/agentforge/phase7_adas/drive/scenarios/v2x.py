"""What stations tell by radio: true, missing, or made up."""

from __future__ import annotations

from agentforge.phase7_adas.drive.injected import FaultKind, InjectedFault
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.scenarios.roads import AVENUE, COUNTRY, MIDDLE, RIGHT, STREET
from agentforge.phase7_adas.drive.scenarios.scenario import EgoStart, Family, Scenario, Wanted
from agentforge.phase7_adas.drive.scenarios.script import (
    LORRY,
    Act,
    Actor,
    Heed,
    Manner,
    ToSide,
    ToSpeed,
    after,
    at,
    gap,
)

VERGE = -2.0


def _v2x(
    name: str,
    summary: str,
    *actors: Actor,
    hazard: bool,
    road: Road = STREET,
    fault: InjectedFault | None = None,
    wanted: Wanted = Wanted.GOES_ON,
    speed_mps: float = 12.0,
) -> Scenario:
    faults = () if fault is None else (fault,)
    ego = EgoStart(speed_mps=speed_mps)
    return Scenario(name, Family.V2X, summary, 20.0, road, wanted, hazard, ego, actors=actors, faults=faults)


V2X = (
    _v2x(
        "v2x_neighbours",
        "Everybody tells of themselves, truly; nothing happens.",
        Actor(45.0, RIGHT, 12.5, talks=True),
        Actor(15.0, MIDDLE, 13.0, talks=True),
        Actor(-25.0, RIGHT, 12.0, talks=True),
        hazard=False,
        road=AVENUE,
    ),
    _v2x(
        "v2x_hidden_stop",
        "A lorry hides a car that stands and tells of it; the lorry swerves around it late.",
        Actor(25.0, RIGHT, 12.0, size=LORRY, manner=Manner.CRUISES, acts=(Act(at(4.5), ToSide(MIDDLE, 2.5)),)),
        Actor(125.0, RIGHT, manner=Manner.STANDS, talks=True),
        hazard=True,
        road=AVENUE,
        wanted=Wanted.STOPS,
    ),
    _v2x(
        "v2x_hidden_brake",
        "A lorry hides a car that brakes hard and warns of it; the lorry swerves onto the verge, late.",
        Actor(42.0, RIGHT, 20.0, size=LORRY, manner=Manner.CRUISES, acts=(Act(at(8.0), ToSide(VERGE, 3.5)),)),
        Actor(88.0, RIGHT, 20.0, acts=(Act(at(6.0), ToSpeed(0.0, 7.0)),), talks=True),
        hazard=True,
        road=COUNTRY,
        wanted=Wanted.STOPS,
        speed_mps=20.0,
    ),
    _v2x(
        "v2x_spoofed_car",
        "A station tells of a car 30 m ahead that is not there.",
        Actor(180.0, MIDDLE, 11.0, against=True, talks=True),
        hazard=False,
        fault=InjectedFault(FaultKind.SPOOF, "v2x", 30.0, 4_000_000, 12_000_000),
    ),
    _v2x(
        "v2x_silent",
        "Nothing is heard any more while the lead, that told of itself, brakes.",
        Actor(35.0, RIGHT, 12.0, talks=True, acts=(Act(at(7.0), ToSpeed(3.0, 4.0)), Act(after(5.0), Heed(12.0)))),
        hazard=True,
        fault=InjectedFault(FaultKind.DROPOUT, "v2x", 1.0, 4_000_000),
    ),
    _v2x(
        "v2x_late",
        "What is heard comes a second late while a car cuts in.",
        Actor(40.0, MIDDLE, 9.0, talks=True, acts=(Act(gap(16.0), ToSide(RIGHT, 2.5)),)),
        hazard=True,
        road=AVENUE,
        fault=InjectedFault(FaultKind.DELAY, "v2x", 1.0, 1_000_000),
    ),
)
