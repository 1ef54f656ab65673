"""The monitor as a whole: it stops without anybody's help, never raises, and leaves good plans alone."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.agent import Watched
from agentforge.phase7_adas.drive.messages import Command, Ego, Mode, Plan
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.safety.monitor import Monitor
from agentforge.phase7_adas.drive.truth import SPEED, X, Y
from agentforge.phase7_adas.drive.world.ego import EgoBody
from agentforge.phase7_adas.drive.world.limits import GRIP_MPS2
from tests.unit.adas_drive.planning.bench import TICK_US, stamps
from tests.unit.adas_drive.planning.roads import RIGHT
from tests.unit.adas_drive.safety.given import SPEED_MPS, START_US, codes, detections, healthy, plan, watch

pytestmark = pytest.mark.requirement("SR4")

NOWHERE = Ego(0, np.full(6, np.nan), np.full((6, 6), np.nan), False)


def dark(t_us: int, road: Road) -> Watched:
    """Every stage has crashed, and no sensor speaks any more."""
    arrived, taken = stamps(START_US)
    return Watched(t_us, NOWHERE, None, None, None, None, road, arrived, taken, {})


@pytest.mark.parametrize("bend", [0.0, 1 / 120])
def test_when_everything_crashes_it_still_stops_in_its_lane(bend: float) -> None:
    road = Road(((60.0, 0.0), (600.0, bend)), lanes=2, oncoming=1)
    monitor, body = Monitor(), EgoBody(30.0, RIGHT, 0.0, 12.0, GRIP_MPS2)
    now, reacted, stood_d = START_US, None, []
    for tick in range(200):
        now += TICK_US
        given = dark(now, road)
        if tick < 10:
            good = healthy(0)
            arrived, taken = stamps(now)
            given = dataclasses.replace(
                good, t_us=now, road=road, ego=Ego(now, body.state_6(), np.eye(6), True), plan=None, tracks=None,
                predictions=None, arrived_us=arrived, taken_us=taken, changed_us={},
            )  # fmt: skip
            given = dataclasses.replace(given, plan=_ahead(now, body))
        verdict = monitor.step(given)
        if tick >= 10 and reacted is None and verdict.command.accel_mps2 < -0.1:
            reacted = tick
        for _ in range(5):
            body.step(verdict.command, 0.01)
        stood_d.append(float(road.to_road(body.state_6()[None, [X, Y]])[1][0]))
    assert reacted is not None
    assert (reacted - 10) * TICK_US <= 200_000  # the first ticks are bridged; the stop follows
    assert body.speed_mps == 0.0
    assert verdict.mode == Mode.STOPPED
    assert np.abs(np.array(stood_d) - RIGHT).max() < 0.6
    assert monitor.error is None


def _ahead(now: int, body: EgoBody) -> Plan:
    return plan(now, body.x_m, body.speed_mps)


def garbage(given: Watched, draw: np.random.Generator) -> Watched:
    """One field of what is given, or of a part of it, becomes something else."""
    junk: list[Any] = [
        None, np.full(3, np.nan), np.zeros((2, 7)), "text", -1, float("inf"), np.zeros(0), {},
        np.full((1, 4), 1e308),
    ]  # fmt: skip
    fields = [one.name for one in dataclasses.fields(given)]
    name = fields[draw.integers(len(fields))]
    part: Any = getattr(given, name)
    wrong = junk[draw.integers(len(junk))]
    if dataclasses.is_dataclass(part) and not isinstance(part, Road) and draw.random() < 0.7:
        inner = [one.name for one in dataclasses.fields(part)]
        wrong = dataclasses.replace(part, **{inner[draw.integers(len(inner))]: wrong})  # type: ignore[type-var]
    return dataclasses.replace(given, **{name: wrong})


def test_never_raises_whatever_it_is_given() -> None:
    draw = Rng(0, "tests/adas/drive/monitor").numpy()
    monitor, failed = Monitor(), 0
    for tick in range(300):
        given = healthy(tick, ((90.0, RIGHT, SPEED_MPS, 0.0),))
        verdict = monitor.step(garbage(given, draw))
        assert np.isfinite([verdict.command.accel_mps2, verdict.command.curvature_per_m]).all()
        assert -9.0 <= verdict.command.accel_mps2 <= 3.0
        if monitor.error is not None:
            failed += 1
            assert verdict.mode >= Mode.EMERGENCY
            assert verdict.command.accel_mps2 <= -3.0
            assert {fault.code for fault in verdict.faults} == {"MONITOR_FAILED"}
    assert 0 < failed < 300


def test_even_nothing_is_answered() -> None:
    verdict = Monitor().step(None)  # type: ignore[arg-type]
    assert verdict.mode == Mode.EMERGENCY
    assert verdict.command.accel_mps2 == -9.0


def test_a_crash_within_an_emergency_stop_keeps_stopping() -> None:
    monitor = Monitor()
    watch(None, 10, monitor=monitor)
    told = dataclasses.replace(NOWHERE, reasons=("a test",))
    for tick in range(10, 60):
        verdict = monitor.step(dataclasses.replace(healthy(tick), road=None, ego=told))  # type: ignore[arg-type]
        assert verdict.mode >= Mode.EMERGENCY
        assert verdict.command.accel_mps2 <= -3.0
    assert monitor.belief.state_6 is not None
    assert monitor.belief.state_6[SPEED] == 0.0


def test_a_missing_plan_is_bridged_without_acceleration_then_stopped_for() -> None:
    def gone(given: Watched, _: int) -> Watched:
        return dataclasses.replace(given, plan=None)

    verdicts = watch(gone, 12, first=5)
    assert verdicts[5].command == Command(0.0, 0.0)
    assert verdicts[5].mode == Mode.NORMAL
    assert verdicts[11].mode == Mode.MINIMAL_RISK
    assert -3.0 < verdicts[11].command.accel_mps2 < -0.4


def test_one_lost_plan_among_many_changes_nothing() -> None:
    def gone(given: Watched, since: int) -> Watched:
        return dataclasses.replace(given, plan=None) if since % 5 == 0 else given

    verdicts = watch(gone, 40)
    assert codes(verdicts) == {"STAGE_MISSING"}
    assert max(verdict.mode for verdict in verdicts) == Mode.NORMAL


def test_an_ego_that_jumped_and_stays_there_is_believed_again() -> None:
    def jumped(given: Watched, _: int) -> Watched:
        state = given.ego.state_6.copy()
        state[X] += 6.0
        states = given.plan.states_T5.copy() if given.plan is not None else np.zeros((40, 5))
        states[:, 0] += 6.0
        assert given.plan is not None
        return dataclasses.replace(
            given,
            ego=dataclasses.replace(given.ego, state_6=state),
            plan=dataclasses.replace(given.plan, states_T5=states),
        )

    verdicts = watch(jumped, 60)
    found = [{fault.code for fault in verdict.faults} for verdict in verdicts]
    assert "EGO_JUMP" in found[5]
    assert any("EGO_LOST" in one for one in found)
    assert "EGO_JUMP" not in found[-1]


def test_somebody_who_stands_ahead_and_a_plan_that_does_not_see_him() -> None:
    """The planner goes on at constant speed; the monitor alone must stop before him."""
    monitor, body = Monitor(), EgoBody(60.0, RIGHT, 0.0, SPEED_MPS, GRIP_MPS2)
    now = START_US
    for _ in range(240):
        now += TICK_US
        arrived, taken = stamps(now)
        given = healthy(0, ((110.0, RIGHT, 0.0, 0.0),))
        assert given.tracks is not None
        given = dataclasses.replace(
            given, t_us=now, ego=Ego(now, body.state_6(), np.eye(6), True), arrived_us=arrived, taken_us=taken,
            tracks=dataclasses.replace(given.tracks, t_us=now), plan=_ahead(now, body), changed_us={},
            detections=detections(now, now // TICK_US),
        )  # fmt: skip
        verdict = monitor.step(given)
        for _ in range(5):
            body.step(verdict.command, 0.01)
        left_m = 110.0 - 2.25 - 2.3 - body.x_m
        assert left_m > 0.2
    assert body.speed_mps < 0.5
    assert left_m < 6.0
