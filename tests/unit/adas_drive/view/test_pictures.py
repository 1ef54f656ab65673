"""Pictures: well-formed, self-contained, the same each time, and they show what is there."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from agentforge.phase7_adas.drive.messages import Command, Mode, Plan, Predictions, Tracks
from agentforge.phase7_adas.drive.scenarios.catalogue import SCENARIOS
from agentforge.phase7_adas.drive.truth import SPEED, Floats, X, Y
from agentforge.phase7_adas.drive.view.clip import clip_svg
from agentforge.phase7_adas.drive.view.moment import Moment, moment
from agentforge.phase7_adas.drive.view.strip import pick, strip_svg
from agentforge.phase7_adas.drive.view.words import nearest_m
from agentforge.phase7_adas.drive.world.world import World
from tests.unit.adas_drive.world.egos import blind

SVG = "{http://www.w3.org/2000/svg}"
ROAD = SCENARIOS["traffic_flows"].road


@cache
def run(name: str = "traffic_flows") -> tuple[Moment, ...]:
    world, moments = World(SCENARIOS[name], 1), []
    while world.t_us < 6_000_000:
        if world.t_us % 200_000 == 0:
            command = blind(world)
            truth = world.truth()
            moments.append(moment(truth, tracks_of(truth.others.state_N6), plan=plan_of(truth.ego_6)))
        world.step(command)
    return tuple(moments)


def tracks_of(states: Floats) -> Tracks:
    count, none = len(states), np.zeros(len(states), dtype=np.int64)
    mean = np.zeros((count, 4))
    mean[:, :2] = states[:, [X, Y]]
    return Tracks(
        0,
        none + np.arange(count),
        mean,
        np.zeros((count, 4, 4)),
        np.ones((count, 3)),
        none,
        np.ones(count),
        none,
        none,
        none,
    )


def plan_of(ego: Floats) -> Plan:
    states = np.zeros((40, 5))
    states[:, 0] = ego[X] + ego[SPEED] * np.arange(40) * 0.1
    states[:, 1] = ego[Y]
    return Plan(0, states, Command(0.0, 0.0), True, 1)


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


@pytest.mark.parametrize("make", [strip_svg, clip_svg])
def test_well_formed_self_contained_and_repeatable(make) -> None:  # type: ignore[no-untyped-def]
    svg = make(ROAD, run(), "Traffic flows")
    root = parsed(svg)
    assert root.tag == f"{SVG}svg"
    assert svg == make(ROAD, run(), "Traffic flows")
    addresses = re.findall(r'(?:href|src)="([^"]*)"|url\(([^)]*)\)', svg)
    assert all((one or other).startswith("#") for one, other in addresses)
    assert "<script" not in svg
    assert " on" not in re.sub(r">[^<]*<", "><", svg).replace(" one", "")
    assert "nan" not in svg.lower()
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("make", [strip_svg, clip_svg])
def test_readers_of_the_screen_hear_what_happens(make) -> None:  # type: ignore[no-untyped-def]
    root = parsed(make(ROAD, run(), "Traffic flows"))
    assert root.get("role") == "img"
    title, words = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert words is not None
    assert title.text == "Traffic flows"
    assert root.get("aria-labelledby") == f"{title.get('id')} {words.get('id')}"
    assert "At 0.0 s the ego drives 13.0 m/s, mode normal; the nearest is a vehicle" in str(words.text)


def test_light_and_dark_and_no_motion_are_minded() -> None:
    svg = clip_svg(ROAD, run(), "t")
    assert "prefers-color-scheme:dark" in svg
    assert "prefers-reduced-motion:reduce" in svg


def test_rules_of_one_picture_do_not_reach_another() -> None:
    one, other = strip_svg(ROAD, run(), "one"), strip_svg(ROAD, run(), "other")
    name = str(parsed(one).get("class"))
    assert name != parsed(other).get("class")
    rules = re.sub(r"@media \([^)]*\)\{|\}", "}", str(re.search(r"<style>(.*)</style>", one).group(1)))  # type: ignore[union-attr]
    selectors = [rule.split("{")[0] for rule in rules.split("}") if "{" in rule]
    assert len(selectors) > 20
    assert all(selector.startswith(f".{name}") for selector in selectors)


def test_bodies_are_where_they_are() -> None:
    """The lead 45 m ahead is drawn 45 m to the right of the ego."""
    first = run()[0]
    root = parsed(strip_svg(ROAD, [first], "one"))
    places = [
        [float(part) for part in re.findall(r"[-\d.]+", str(group.get("transform")))[:2]]
        for group in root.iter(f"{SVG}g")
        if str(group.get("transform", "")).startswith("translate(")
        and group.find(f"{SVG}rect[@class='vehicle']") is not None
    ]
    assert np.array(places) == pytest.approx(first.others.state_N6[:, [X, Y]], abs=0.006)


def test_a_title_with_markup_stays_words() -> None:
    bad = '<script>alert("x")</script>&'
    noted = [replace(each, note=bad) for each in run()]
    for svg in (strip_svg(ROAD, noted[:2], bad), clip_svg(ROAD, noted, bad)):
        root = parsed(svg)
        assert root.find(f".//{SVG}script") is None
        title = root.find(f"{SVG}title")
        assert title is not None
        assert title.text == bad


def test_what_is_not_finite_is_not_drawn() -> None:
    first = run()[0]
    assert first.tracks is not None
    mean = first.tracks.mean_N4.copy()
    mean[0, 0] = np.nan
    plan = np.full((40, 2), np.inf)
    ways = Predictions(
        0, np.zeros(1, dtype=np.int64), np.full((1, 1, 20, 2), np.nan), np.ones((1, 1)), np.ones((1, 1, 20))
    )
    odd = replace(first, tracks=replace(first.tracks, mean_N4=mean), plan_xy_T2=plan, predictions=ways)
    svg = strip_svg(ROAD, [odd], "odd")
    assert "nan" not in svg
    assert "inf" not in svg
    assert svg.count('class="track"') == strip_svg(ROAD, [first], "odd").count('class="track"') - 1


def test_picked_moments_hold_the_change_of_mode_and_the_nearest() -> None:
    moments = list(run())
    moments[17] = replace(moments[17], mode=Mode.EMERGENCY)
    chosen = pick(moments)
    assert len(chosen) == 6
    assert chosen[0] is moments[0]
    assert chosen[-1] is moments[-1]
    assert any(each is moments[17] for each in chosen)
    assert [each.t_us for each in chosen] == sorted(each.t_us for each in chosen)
    nearest = min(moments, key=lambda each: nearest_m(each)[0])
    assert min(abs(each.t_us - nearest.t_us) for each in chosen) <= 400_000
    assert pick(moments[:3]) == moments[:3]
    assert len({each.t_us for each in pick(moments[:7])}) == 6


def test_a_track_that_comes_and_goes_is_hidden_meanwhile() -> None:
    moments = [replace(each, tracks=None) if 5 <= n < 10 else each for n, each in enumerate(run())]
    always, comes = clip_svg(ROAD, run(), "t"), clip_svg(ROAD, moments, "t")
    hidden = 'values="visible;hidden;visible"'
    assert always.count(hidden) == 0
    assert comes.count(hidden) == len(run()[0].others)


def test_a_clip_of_one_moment_or_of_uneven_ones_and_a_strip_of_none_are_refused() -> None:
    with pytest.raises(ValueError, match="evenly spaced"):
        clip_svg(ROAD, run()[:1], "t")
    with pytest.raises(ValueError, match="evenly spaced"):
        clip_svg(ROAD, [run()[0], run()[1], run()[5]], "t")
    with pytest.raises(ValueError, match="no moments"):
        strip_svg(ROAD, [], "t")


def test_pictures_are_small_enough_for_a_report() -> None:
    assert len(strip_svg(ROAD, pick(run()), "t")) < 80_000
    assert len(clip_svg(ROAD, run(), "t")) < 250_000
