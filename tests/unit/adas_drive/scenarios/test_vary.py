"""Variations: repeatable, within the ranges that are stated, and still the same story."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agentforge.phase7_adas.drive.injected import FaultKind
from agentforge.phase7_adas.drive.scenarios.catalogue import SCENARIOS, vary
from agentforge.phase7_adas.drive.scenarios.scenario import Scenario
from agentforge.phase7_adas.drive.scenarios.script import Until
from agentforge.phase7_adas.drive.world.boxes import touch
from agentforge.phase7_adas.drive.world.world import World
from tests.unit.adas_drive.world.egos import careful, drive

EVERY = [(name, seed) for name in SCENARIOS for seed in range(1, 4)]


def test_the_same_seed_gives_the_same_and_others_differ() -> None:
    for name, scenario in SCENARIOS.items():
        made = [vary(scenario, seed) for seed in range(6)]
        assert made == [vary(scenario, seed) for seed in range(6)]
        assert len({(each.ego, each.actors, each.weather, each.faults) for each in made}) == 6, name


def test_variations_keep_what_the_story_is() -> None:
    for name, seed in EVERY:
        scenario = SCENARIOS[name]
        other = vary(scenario, seed)
        assert other.name == f"{name}~{seed}"
        kept = replace(
            other, name=name, ego=scenario.ego, road=scenario.road, actors=(), weather=scenario.weather, faults=()
        )
        assert kept == replace(scenario, actors=(), faults=())
        assert (other.ego.s_m, other.ego.lane) == (scenario.ego.s_m, scenario.ego.lane)
        for before, now in zip(scenario.actors, other.actors, strict=False):
            where, fast, wish = before.ahead_m, before.speed_mps, before.wishes_mps
            assert replace(now, ahead_m=where, speed_mps=fast, wishes_mps=wish, acts=before.acts) == before
            assert [type(act.do) for act in now.acts] == [type(act.do) for act in before.acts]


def test_what_is_drawn_is_within_what_is_stated() -> None:
    for name, seed in EVERY:
        scenario, other = SCENARIOS[name], vary(SCENARIOS[name], seed)
        assert 0.8 <= other.ego.speed_mps / scenario.ego.speed_mps <= 1.1
        farther = {round(now.ahead_m - was.ahead_m, 6) for was, now in pairs(scenario, other) if was.ahead_m > 0}
        assert len(farther) <= 1
        assert all(0 <= metres <= 25 for metres in farther)
        for was, now in pairs(scenario, other):
            for act, varied in zip(was.acts, now.acts, strict=True):
                timed = act.when.until in (Until.TIME, Until.AFTER)
                low, high = (0.85, 1.25) if timed else (0.95, 1.3)
                assert low * act.when.value - 1e-9 <= varied.when.value <= high * act.when.value + 1e-9
        for fault, varied_fault in zip(scenario.faults, other.faults, strict=True):
            assert -2e6 <= varied_fault.from_us - fault.from_us <= 4e6
            assert varied_fault.from_us >= 0
            if fault.kind in (FaultKind.DROPOUT, FaultKind.BLIND, FaultKind.MISS):
                assert 0 < varied_fault.amount <= 1
                assert (varied_fault.amount == 1) == (fault.amount == 1) or fault.amount > 0.8
        parts = (other.weather.rain, other.weather.fog, other.weather.darkness, other.weather.glare)
        assert all(0 <= part <= 1 for part in parts)


def pairs(scenario: Scenario, other: Scenario):  # type: ignore[no-untyped-def]
    return zip(scenario.actors, other.actors, strict=False)


def test_nobody_starts_inside_another() -> None:
    for name, seed in EVERY[::4]:
        truth = World(vary(SCENARIOS[name], seed), seed).truth()
        states, sizes = truth.others.state_N6, truth.others.size_N3
        for n in range(len(truth.others)):
            assert not touch(states[n], sizes[n], states[n + 1 :], sizes[n + 1 :]).any(), (name, seed, n)
        assert not touch(truth.ego_6, truth.ego_size_3, states, sizes).any(), (name, seed)


def test_weather_roads_and_oncoming_traffic_do_vary() -> None:
    made = [vary(SCENARIOS["stopped_lead"], seed) for seed in range(200)]
    assert 40 < sum(each.weather != SCENARIOS["stopped_lead"].weather for each in made) < 120
    assert 30 < sum(len(each.road.pieces) > 1 for each in made) < 90
    assert {len(each.actors) for each in made} == {1, 2, 3, 4}
    lengths = [each.road.length_m for each in made]
    assert lengths == pytest.approx([1500.0] * 200)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_who_sees_everything_causes_no_collision_in_variations(name: str) -> None:
    for seed in range(1, 4):
        world = drive(World(vary(SCENARIOS[name], seed), seed), careful)
        assert not any(collision.ego_caused for collision in world.collisions), seed
    assert np.isfinite(world.truth().ego_6).all()
