"""Agents that do the least that is right, and note what they were given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from agentforge.phase7_adas.drive import agent, messages
from agentforge.phase7_adas.drive.orchestrator.pipeline import Agents
from agentforge.phase7_adas.drive.orchestrator.standins import straight_on
from agentforge.phase7_adas.drive.readings import CameraReading, ImuReading, LidarReading, Stamp

HW = (4, 6)
STOP = messages.Command(-5.0, 0.0)


def camera(t_us: int, value: int = 7) -> CameraReading:
    return CameraReading(Stamp("camera", t_us, t_us - 20_000, t_us), np.full(HW, value, dtype=np.uint8))


def push(t_us: int) -> ImuReading:
    return ImuReading(Stamp("imu", t_us, t_us - 1_000, t_us), *np.zeros((3, 3)))


def one_track(t_us: int, x: float = 10.0, vx: float = 4.0) -> messages.Tracks:
    one = np.array([1], dtype=np.int64)
    return messages.Tracks(
        t_us, one, np.array([[x, 0.0, vx, 0.0]]), np.eye(4)[None] * 0.1, np.array([[4.0, 2.0, 1.5]]), one * 0,
        np.array([0.9]), one, one * 1_000_000, one * 0,
    )  # fmt: skip


@dataclass
class Noting:
    """Every agent in one: what each was given, in order."""

    given: dict[str, list[Any]] = field(default_factory=dict)
    lane: messages.LaneFix | None = None
    """What perception says of the marks."""

    def note(self, name: str, what: Any) -> None:
        self.given.setdefault(name, []).append(what)

    def last(self, name: str) -> Any:
        return self.given[name][-1]


class Fusion:
    def __init__(self, noting: Noting) -> None:
        self._noting = noting

    def hear(self, given: agent.Motion) -> None:
        self._noting.note("heard", given)

    def localise(self, given: agent.Motion) -> messages.Ego:
        self._noting.note("motion", given)
        return messages.Ego(given.t_us, np.zeros(6), np.eye(6), True)

    def track(self, given: agent.Seen) -> messages.Tracks:
        self._noting.note("seen", given)
        return one_track(given.t_us)


class Perception:
    name, deadline_ms = "perception", agent.PERCEPTION_MS

    def __init__(self, noting: Noting) -> None:
        self._noting = noting

    def ahead(self, reading: CameraReading | LidarReading) -> None:
        self._noting.note("ahead", reading)

    def marks(self, given: agent.Sight) -> messages.LaneFix | None:
        self._noting.note("marks", given)
        return self._noting.lane

    def step(self, given: agent.Sight) -> messages.Detections:
        self._noting.note("sight", given)
        return messages.no_detections(given.t_us)


class Failing:
    """Another agent, one of whose methods fails."""

    def __init__(self, other: Any, method: str) -> None:
        self._other, self._method = other, method

    def __getattr__(self, name: str) -> Any:
        return self._fail if name == self._method else getattr(self._other, name)

    def _fail(self, _: object) -> None:
        raise ZeroDivisionError(self._method)


class Prediction:
    name, deadline_ms = "prediction", agent.PREDICTION_MS

    def __init__(self, noting: Noting) -> None:
        self._noting = noting

    def step(self, given: agent.Moving) -> messages.Predictions:
        self._noting.note("moving", given)
        return straight_on(given.tracks)


class Planning:
    name, deadline_ms = "planning", agent.PLANNING_MS

    def __init__(self, noting: Noting) -> None:
        self._noting = noting

    def step(self, given: agent.Scene) -> messages.Plan:
        self._noting.note("scene", given)
        return messages.Plan(given.t_us, np.zeros((messages.PLAN_STEPS, 5)), messages.Command(0.5, 0.0), True, 1)


class Monitor:
    name, deadline_ms = "monitor", agent.TOTAL_MS

    def __init__(self, noting: Noting) -> None:
        self._noting = noting

    def step(self, given: agent.Watched) -> messages.Verdict:
        self._noting.note("watched", given)
        command = given.plan.command if given.plan is not None else STOP
        mode = messages.Mode.NORMAL if given.plan is not None else messages.Mode.MINIMAL_RISK
        return messages.Verdict(given.t_us, mode, command)


def noting_agents() -> tuple[Noting, Agents]:
    noting = Noting()
    return noting, Agents(Fusion(noting), Perception(noting), Prediction(noting), Planning(noting), Monitor(noting))
