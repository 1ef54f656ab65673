"""Hazards that people on foot and on bicycles make."""

from __future__ import annotations

from agentforge.phase7_adas.drive.scenarios.roads import KERB, OVER_THERE, PAVEMENT, RIGHT, STREET
from agentforge.phase7_adas.drive.scenarios.scenario import EgoStart, Family, Scenario, Wanted
from agentforge.phase7_adas.drive.scenarios.script import (
    CHILD,
    VAN,
    Act,
    Actor,
    Manner,
    ToSide,
    Walk,
    after,
    arrival,
    cyclist,
    gap,
    person,
)


def _people(
    name: str, summary: str, *actors: Actor, wanted: Wanted = Wanted.GOES_ON, speed_mps: float = 12.0
) -> Scenario:
    ego = EgoStart(speed_mps=speed_mps)
    return Scenario(name, Family.PEOPLE, summary, 20.0, STREET, wanted, True, ego, actors=actors)


def _heedless(seconds: float, speed_mps: float = 1.4) -> tuple[Act, ...]:
    """Walks across when the ego is this far away, without a look."""
    return (Act(arrival(seconds), Walk(OVER_THERE, speed_mps, heeds=False)),)


_ON_FOOT = (
    _people(
        "pedestrian_crosses",
        "Somebody crosses without a look, in plain sight.",
        person(90.0, PAVEMENT, acts=_heedless(4.2)),
    ),
    _people(
        "pedestrian_from_behind_parked_car",
        "Somebody steps out between parked cars; until then a van hides them.",
        Actor(63.0, KERB, size=VAN, manner=Manner.STANDS),
        Actor(70.0, KERB, manner=Manner.STANDS),
        person(66.6, PAVEMENT, acts=_heedless(3.9)),
        speed_mps=9.0,
    ),
    _people(
        "child_runs",
        "A child runs across the road.",
        Actor(76.0, KERB, manner=Manner.STANDS),
        person(80.0, PAVEMENT, size=CHILD, acts=_heedless(2.95, 2.2)),
        speed_mps=9.0,
    ),
    _people(
        "pedestrian_hesitates",
        "Somebody steps into the lane, stands there for a while and goes on.",
        person(
            85.0,
            -1.0,
            acts=(
                Act(arrival(4.0), Walk(RIGHT, 1.4, heeds=False)),
                Act(after(6.0), Walk(OVER_THERE, 1.4, heeds=False)),
            ),
        ),
    ),
    _people(
        "group_crosses",
        "Three people cross one after the other.",
        *(person(90.0 + 0.8 * n, PAVEMENT - 0.9 * n, acts=_heedless(4.4)) for n in range(3)),
    ),
    _people(
        "pedestrian_in_lane", "Somebody stands in the lane and stays.", person(100.0, RIGHT), wanted=Wanted.STOPS
    ),
    _people(
        "walks_along_road",
        "Somebody walks along the road, in the lane, with their back to the ego.",
        person(70.0, 0.9, speed_mps=1.3, manner=Manner.CRUISES),
    ),
)

_ON_BICYCLES = (
    _people("cyclist_ahead", "A slow cyclist in the lane.", cyclist(60.0, 1.2, 4.5)),
    _people(
        "cyclist_swerves",
        "A cyclist at the edge of the road swerves into the lane, around a parked car.",
        cyclist(40.0, -0.6, 5.0, Act(gap(16.0), ToSide(1.4, 2.0))),
        Actor(104.0, KERB, manner=Manner.STANDS),
        speed_mps=10.0,
    ),
)

PEOPLE = (*_ON_FOOT, *_ON_BICYCLES)
