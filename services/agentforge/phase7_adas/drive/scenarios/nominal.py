"""Ordinary driving, without a hazard or a fault: who stops here stops falsely."""

from __future__ import annotations

from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.scenarios.roads import (
    AVENUE,
    BENDS,
    KERB,
    LEFT,
    MIDDLE,
    MOTORWAY,
    OVER_THERE,
    PAVEMENT,
    RIGHT,
    STREET,
    TIGHT,
)
from agentforge.phase7_adas.drive.scenarios.scenario import EgoStart, Family, Scenario, Wanted
from agentforge.phase7_adas.drive.scenarios.script import LORRY, VAN, Act, Actor, Manner, Walk, at, person


def _nominal(
    name: str, summary: str, road: Road, *actors: Actor, seconds: float = 20.0, speed_mps: float = 12.0
) -> Scenario:
    ego = EgoStart(speed_mps=speed_mps)
    return Scenario(name, Family.NOMINAL, summary, seconds, road, Wanted.GOES_ON, False, ego, actors=actors)


NOMINAL = (
    _nominal("empty_road", "Nobody else.", STREET),
    _nominal(
        "traffic_flows",
        "A lead as fast as the ego, others beside it and coming the other way.",
        AVENUE,
        Actor(45.0, RIGHT, 13.5),
        Actor(-30.0, RIGHT, 13.0),
        Actor(15.0, MIDDLE, 14.0, changes_lanes=True),
        Actor(-12.0, MIDDLE, 15.0, size=VAN),
        Actor(180.0, LEFT, 13.0, against=True),
        Actor(260.0, LEFT, 12.0, against=True),
        speed_mps=13.0,
        seconds=25.0,
    ),
    _nominal(
        "parked_row",
        "Parked cars beside the lane, and people on the pavement who stay there.",
        STREET,
        *(Actor(60.0 + 8.0 * n, KERB, manner=Manner.STANDS) for n in range(4)),
        person(70.0, PAVEMENT),
        person(95.0, PAVEMENT, speed_mps=1.3, manner=Manner.CRUISES),
        speed_mps=10.0,
    ),
    _nominal(
        "gentle_bends",
        "Bends, with oncoming cars that look, on the curve, as if they came straight at the ego.",
        BENDS,
        Actor(240.0, MIDDLE, 11.0, against=True),
        Actor(330.0, MIDDLE, 11.0, against=True),
        seconds=30.0,
    ),
    _nominal(
        "tight_bends",
        "Bends of 45 m radius with a parked car on the outside, dead ahead until the road turns.",
        TIGHT,
        Actor(75.0, KERB, manner=Manner.STANDS),
        Actor(200.0, MIDDLE, 8.0, against=True),
        seconds=25.0,
        speed_mps=8.0,
    ),
    _nominal(
        "motorway_flow",
        "Motorway: a lorry far ahead as fast as the ego, and cars that overtake.",
        MOTORWAY,
        Actor(90.0, RIGHT, 22.5, size=LORRY),
        Actor(-40.0, MIDDLE, 27.0),
        Actor(-90.0, MIDDLE, 28.0),
        speed_mps=22.0,
    ),
    _nominal(
        "pedestrian_waits",
        "Somebody at the kerb wants to cross and waits until nothing comes.",
        STREET,
        person(90.0, -1.0, acts=(Act(at(0.5), Walk(OVER_THERE)),)),
    ),
    _nominal(
        "oncoming_stream",
        "Six cars and a lorry come the other way, close together.",
        STREET,
        *(Actor(100.0 + 22.0 * n, MIDDLE, 11.0, against=True) for n in range(6)),
        Actor(240.0, MIDDLE, 11.0, size=LORRY, against=True),
    ),
)
