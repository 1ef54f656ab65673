"""Hazards that other vehicles make, and things that lie on the road."""

from __future__ import annotations

from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.scenarios.roads import AVENUE, BENDS, KERB, MIDDLE, MOTORWAY, RIGHT, STREET
from agentforge.phase7_adas.drive.scenarios.scenario import EgoStart, Family, Scenario, Wanted
from agentforge.phase7_adas.drive.scenarios.script import (
    BOX,
    LORRY,
    VAN,
    Act,
    Actor,
    Heed,
    Manner,
    ToSide,
    ToSpeed,
    after,
    arrival,
    at,
    gap,
    thing,
)
from agentforge.phase7_adas.drive.truth import Kind


def _cars(
    name: str,
    summary: str,
    road: Road,
    *actors: Actor,
    wanted: Wanted = Wanted.GOES_ON,
    seconds: float = 20.0,
    speed_mps: float = 12.0,
    lane: int = 0,
    hazard: bool = True,
) -> Scenario:
    ego = EgoStart(lane=lane, speed_mps=speed_mps)
    return Scenario(name, Family.CARS, summary, seconds, road, wanted, hazard, ego, actors=actors)


_FOLLOWED = (
    _cars(
        "sudden_brake",
        "The car ahead brakes as hard as it can, stands for some seconds and drives on.",
        STREET,
        Actor(28.0, RIGHT, 12.0, acts=(Act(at(4.0), ToSpeed(0.0, 8.0)), Act(after(7.0), Heed(12.0)))),
    ),
    _cars(
        "sudden_brake_with_follower",
        "The car ahead brakes hard, and another is close behind the ego.",
        STREET,
        Actor(30.0, RIGHT, 12.0, acts=(Act(at(4.0), ToSpeed(0.0, 6.0)), Act(after(8.0), Heed(12.0)))),
        Actor(-18.0, RIGHT, 12.0),
    ),
    _cars(
        "stopped_lead",
        "A car stands in the lane; the other lane is for those who come.",
        STREET,
        Actor(110.0, RIGHT, manner=Manner.STANDS),
        wanted=Wanted.STOPS,
    ),
    _cars(
        "stopped_lead_in_bend",
        "A car stands in the lane behind the beginning of a bend.",
        BENDS,
        Actor(130.0, RIGHT, manner=Manner.STANDS),
        wanted=Wanted.STOPS,
    ),
    _cars("slow_lead", "A slow lorry ahead.", STREET, Actor(60.0, RIGHT, 6.0, size=LORRY)),
    _cars(
        "stop_and_go",
        "A queue that starts and stops.",
        STREET,
        Actor(
            25.0,
            RIGHT,
            9.0,
            acts=(
                Act(at(2.0), ToSpeed(0.0, 3.0)),
                Act(after(6.0), Heed(8.0)),
                Act(after(7.0), ToSpeed(0.0, 4.0)),
                Act(after(6.0), Heed(8.0)),
            ),
        ),
        Actor(-16.0, RIGHT, 9.0),
        seconds=40.0,
        speed_mps=9.0,
    ),
    _cars(
        "end_of_jam",
        "The end of a traffic jam on a motorway.",
        MOTORWAY,
        *(Actor(330.0 + 9.0 * n, d, 0.0, wishes_mps=0.0) for n in range(2) for d in (RIGHT, MIDDLE)),
        wanted=Wanted.STOPS,
        speed_mps=22.0,
        seconds=25.0,
    ),
)

_ASIDE = (
    _cars(
        "cut_in",
        "A slower car from the lane beside moves in close ahead.",
        AVENUE,
        Actor(40.0, MIDDLE, 10.0, acts=(Act(gap(16.0), ToSide(RIGHT, 2.5)),)),
        speed_mps=14.0,
    ),
    _cars(
        "cut_in_and_brake",
        "A car moves in close ahead and then brakes.",
        AVENUE,
        Actor(34.0, MIDDLE, 11.0, acts=(Act(gap(18.0), ToSide(RIGHT, 2.5)), Act(after(2.5), ToSpeed(4.0, 3.0)))),
        speed_mps=13.0,
    ),
    _cars(
        "cut_in_fast",
        "Motorway: a lorry moves over into the ego's lane, much slower.",
        MOTORWAY,
        Actor(120.0, MIDDLE, 16.0, size=LORRY, acts=(Act(gap(60.0), ToSide(RIGHT, 4.0)),)),
        speed_mps=24.0,
    ),
    _cars(
        "merging",
        "The lane beside the ego's is closed; a slow van merges in before the works.",
        AVENUE,
        Actor(35.0, RIGHT, 9.0, size=VAN, acts=(Act(gap(14.0), ToSide(MIDDLE, 3.0)),)),
        *(thing(150.0 + 6.0 * n, RIGHT) for n in range(3)),
        lane=1,
        speed_mps=13.0,
    ),
    _cars(
        "pulls_out",
        "A parked car pulls out into the ego's lane.",
        STREET,
        Actor(
            90.0,
            KERB,
            manner=Manner.CRUISES,
            acts=(Act(arrival(4.2), ToSpeed(5.0, 2.5)), Act(after(0.0), ToSide(RIGHT, 3.0))),
        ),
        Actor(82.0, KERB, manner=Manner.STANDS),
    ),
)

_AGAINST = (
    _cars(
        "oncoming_overtaker",
        "A car that comes overtakes another, and is back in its lane in time.",
        STREET,
        Actor(230.0, MIDDLE, 9.0, against=True, manner=Manner.CRUISES),
        Actor(
            245.0,
            MIDDLE,
            17.0,
            against=True,
            manner=Manner.CRUISES,
            acts=(Act(at(0.3), ToSide(RIGHT, 3.0)), Act(after(3.2), ToSide(MIDDLE, 2.0))),
        ),
        hazard=False,
    ),
    _cars(
        "oncoming_overtaker_late",
        "A car that comes overtakes another, and is not back in its lane unless the ego makes room.",
        STREET,
        Actor(200.0, MIDDLE, 9.0, against=True, manner=Manner.CRUISES),
        Actor(
            215.0,
            MIDDLE,
            14.0,
            against=True,
            manner=Manner.CRUISES,
            acts=(Act(at(0.3), ToSide(RIGHT, 3.0)), Act(after(8.0), ToSide(MIDDLE, 2.5))),
        ),
    ),
    _cars(
        "wrong_way",
        "A car comes towards the ego in its own lane, and stops before it when it can.",
        AVENUE,
        Actor(220.0, RIGHT, 10.0, against=True),
        wanted=Wanted.STOPS,
    ),
    _cars("debris", "A box lies in the lane.", STREET, thing(120.0, RIGHT), wanted=Wanted.STOPS),
    _cars(
        "lost_load",
        "Something falls off the lorry ahead, slides and stays in the lane.",
        STREET,
        Actor(40.0, RIGHT, 11.0, size=LORRY),
        Actor(33.0, RIGHT, 11.0, Kind.OBSTACLE, BOX, Manner.CRUISES, acts=(Act(at(3.0), ToSpeed(0.0, 5.0)),)),
        speed_mps=11.0,
        wanted=Wanted.STOPS,
    ),
)

CARS = (*_FOLLOWED, *_ASIDE, *_AGAINST)
