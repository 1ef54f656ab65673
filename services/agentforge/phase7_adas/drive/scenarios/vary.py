"""Variations of scenarios: the same story with other speeds, distances, times, weather and roads.

What is drawn, each evenly within its range:

- the ego's speed is 0.8 to 1.1 of what is stated, and so is that of all on wheels within 3 %;
- everybody ahead is 0 to 25 m farther away, together, so that who stands between parked cars still does;
- acts that wait for a time wait 0.85 to 1.25 of it; those that wait for the ego begin at 0.95 to 1.3 of the
  distance or time of arrival;
- a road that is straight is bent in three of ten;
- the weather, where it is clear, is bad in four of ten; where it is bad, 0.8 to 1.1 as bad;
- where nobody comes the other way and there is a lane for it, up to three cars come;
- a fault begins 2 s earlier to 4 s later and is 0.8 to 1.2 of its amount.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.injected import FOR_EVER_US, FaultKind, InjectedFault
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.scenarios.scenario import Scenario
from agentforge.phase7_adas.drive.scenarios.script import (
    CAR,
    LORRY,
    VAN,
    Act,
    Actor,
    Heed,
    ToSpeed,
    Until,
    When,
)
from agentforge.phase7_adas.drive.truth import Kind, Weather

_PARTS = (FaultKind.DROPOUT, FaultKind.BLIND, FaultKind.MISS)


def vary(scenario: Scenario, seed: int) -> Scenario:
    """The same scenario and seed: the same variation. `hazard` stays what it was, unproven for the variation."""
    draw = Rng(seed, "adas/drive/scenarios/vary", scenario.name).numpy()
    pace = float(draw.uniform(0.8, 1.1))
    farther = float(draw.uniform(0.0, 25.0))
    actors = tuple(_actor(actor, pace, farther, draw) for actor in scenario.actors)
    road = _road(scenario.road, draw)
    ego = replace(scenario.ego, speed_mps=scenario.ego.speed_mps * pace)
    return replace(
        scenario,
        name=f"{scenario.name}~{seed}",
        ego=ego,
        road=road,
        actors=(*actors, *_oncoming(scenario, pace, draw)),
        weather=_weather(scenario.weather, draw),
        faults=tuple(_fault(fault, draw) for fault in scenario.faults),
    )


def _actor(actor: Actor, pace: float, farther: float, draw: np.random.Generator) -> Actor:
    wheels = actor.kind in (Kind.VEHICLE, Kind.CYCLIST)
    own = pace * float(draw.uniform(0.97, 1.03)) if wheels else 1.0
    acts = tuple(_act(act, own, draw) for act in actor.acts)
    wish = None if actor.wishes_mps is None else actor.wishes_mps * own
    ahead = actor.ahead_m + (farther if actor.ahead_m > 0 else 0.0)
    return replace(actor, ahead_m=ahead, speed_mps=actor.speed_mps * own, wishes_mps=wish, acts=acts)


def _act(act: Act, pace: float, draw: np.random.Generator) -> Act:
    timed = act.when.until in (Until.TIME, Until.AFTER)
    factor = float(draw.uniform(0.85, 1.25) if timed else draw.uniform(0.95, 1.3))
    do = act.do
    if isinstance(do, ToSpeed | Heed):
        do = replace(do, speed_mps=do.speed_mps * pace)
    return Act(When(act.when.until, act.when.value * factor), do)


def _road(road: Road, draw: np.random.Generator) -> Road:
    bent, bend, lead = draw.uniform() < 0.3, draw.uniform(-1, 1), draw.uniform(60.0, 200.0)
    if not bent or len(road.pieces) > 1:
        return road
    # no tighter than is comfortable at the speed limit
    tightest = 1.2 / road.speed_limit_mps**2
    pieces = ((float(lead), 0.0), (150.0, float(bend) * tightest), (100.0, 0.0), (150.0, -float(bend) * tightest))
    rest = road.length_m - sum(length for length, _ in pieces)
    return replace(road, pieces=(*pieces, (rest, 0.0)))


def _weather(weather: Weather, draw: np.random.Generator) -> Weather:
    bad, which, much, scale = (
        draw.uniform() < 0.4,
        int(draw.integers(4)),
        draw.uniform(0.2, 0.8),
        draw.uniform(0.8, 1.1),
    )
    if weather == Weather():
        names = ("rain", "fog", "darkness", "glare")
        return replace(weather, **{names[which]: float(much)}) if bad else weather
    worse = [min(1.0, part * float(scale)) for part in (weather.rain, weather.fog, weather.darkness, weather.glare)]
    return Weather(*worse)


def _oncoming(scenario: Scenario, pace: float, draw: np.random.Generator) -> tuple[Actor, ...]:
    count, start = int(draw.integers(4)), float(draw.uniform(90.0, 220.0))
    gaps, sizes = draw.uniform(25.0, 80.0, 3), draw.integers(3, size=3)
    if not scenario.road.oncoming or any(actor.against for actor in scenario.actors):
        return ()
    d = scenario.road.lane_centre_d(scenario.road.lanes - 1)
    places = start + np.cumsum(gaps)
    return tuple(
        Actor(float(places[n]), d, 12.0 * pace, size=(CAR, VAN, LORRY)[int(sizes[n])], against=True)
        for n in range(count)
    )


def _fault(fault: InjectedFault, draw: np.random.Generator) -> InjectedFault:
    later, scale = int(draw.uniform(-2.0, 4.0) * 1e6), float(draw.uniform(0.8, 1.2))
    later = max(later, -fault.from_us)
    # a sensor that is lost for good stays so
    amount = fault.amount if fault.kind in _PARTS and fault.amount == 1.0 else fault.amount * scale
    if fault.kind in _PARTS:
        amount = min(amount, 1.0)
    until = fault.until_us if fault.until_us == FOR_EVER_US else fault.until_us + later
    return replace(fault, amount=amount, from_us=fault.from_us + later, until_us=until)
