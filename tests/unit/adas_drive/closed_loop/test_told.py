"""A scene goes through an event as JSON, and the gateway draws it."""

import json
from pathlib import Path

import numpy as np

from agentforge.phase7_adas.drive.messages import Command, Mode, StageTimes, Verdict
from agentforge.phase7_adas.drive.orchestrator.pipeline import Tick
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.truth import Bodies, Kind, Truth, Weather
from agentforge.phase7_adas.drive.view.told import told_scene
from agentforge_gateway.dash.figures.driving import scene
from tests.unit.adas_drive.orchestrator.agents import one_track
from tests.unit.dash.test_figures import source

ROAD = Road(pieces=((300.0, 0.0),), lanes=2, oncoming=1)


def test_a_scene_as_it_is_told_and_drawn(tmp_path: Path) -> None:
    heading = np.pi / 2  # the ego looks north: what is ahead of it has a larger y
    ego = np.array([50.0, 1.75, heading, 8.0, 0.0, 0.0])
    state = np.array([[50.0, 31.75, heading, 0.0, 0.0, 0.0], [50.0, 1000.0, 0.0, 0.0, 0.0, 0.0]])
    kinds = np.array([Kind.PEDESTRIAN, Kind.VEHICLE])
    others = Bodies(np.array([3, 4]), kinds, state, np.array([[0.5, 0.6, 1.7], [4.0, 2.0, 1.5]]))
    truth = Truth(2_000_000, ego, np.array([4.6, 1.9, 1.5]), others, Weather())
    times = StageTimes(*[0.1] * 8)
    verdict = Verdict(2_000_000, Mode.DEGRADED, Command(0.0, 0.0))
    tick = Tick(2_000_000, None, None, one_track(2_000_000), None, None, verdict, times, {}, {}, ())
    told = json.loads(json.dumps(told_scene(tick, truth, ROAD, "night_pedestrian")))
    (near,) = told["others"]  # who is a kilometre away is in no picture
    assert near["kind"] == "pedestrian"
    assert np.allclose(np.mean(near["corners"], axis=0), [30.0, 0.0], atol=0.01)
    one = source("adas", [], tmp_path)
    one.history.feed({"time": "t", "phase": "adas", "sample": {"name": "adas/drive/scene", "data": told}})
    (figure,) = scene(one)
    assert "night_pedestrian after 2 s" in figure.caption
    assert "mode DEGRADED" in figure.caption
    drawn = {trace["name"]: trace for trace in figure.plot["data"]}
    assert np.allclose(drawn["pedestrian"]["y"][0], 30.25, atol=0.06)
    assert drawn["pedestrian"]["x"][0] == drawn["pedestrian"]["x"][-1]
