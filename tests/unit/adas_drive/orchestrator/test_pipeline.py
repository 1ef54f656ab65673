import time
from dataclasses import replace

import numpy as np
import pytest

from agentforge.phase7_adas.drive.injected import FaultKind, InjectedFault
from agentforge.phase7_adas.drive.messages import LaneFix, Mode
from agentforge.phase7_adas.drive.orchestrator.clocks import WallClock
from agentforge.phase7_adas.drive.orchestrator.pipeline import TICK_US, Pipeline
from agentforge.phase7_adas.drive.road import Road
from tests.unit.adas_drive.orchestrator.agents import HW, STOP, Failing, Noting, camera, noting_agents, push

pytestmark = pytest.mark.requirement("SR7")

ROAD = Road(pieces=((200.0, 0.0),))


def made(*faults: InjectedFault) -> tuple[Noting, Pipeline]:
    noting, agents = noting_agents()
    return noting, Pipeline(agents, ROAD, HW, faults)


def test_a_tick_hands_on_what_each_agent_made() -> None:
    noting, pipeline = made()
    tick = pipeline.tick(TICK_US, [camera(TICK_US)], lane=1)
    assert noting.last("seen").detections is tick.detections
    assert noting.last("moving").tracks is tick.tracks
    assert noting.last("scene").predictions is tick.predictions
    assert noting.last("scene").lane == 1
    assert noting.last("watched").plan is tick.plan
    assert noting.last("watched").arrived_us == {"camera": TICK_US}
    assert noting.last("watched").taken_us == {"camera": TICK_US - 20_000}
    assert (tick.verdict.mode, tick.late_ms, tick.crashes, tick.standins) == (Mode.NORMAL, {}, {}, ())
    parts = (tick.times.fusion_ms, tick.times.perception_ms, tick.times.prediction_ms, tick.times.planning_ms)
    assert tick.times.total_ms > sum(parts) + tick.times.monitor_ms, "from the hand-over to the verdict"


def test_without_anything_to_look_at_perception_is_left_in_peace() -> None:
    noting, pipeline = made()
    tick = pipeline.tick(TICK_US, [], lane=0)
    assert "sight" not in noting.given
    assert np.isnan(tick.times.perception_ms)
    assert tick.detections is None
    assert tick.verdict.mode is Mode.NORMAL


@pytest.mark.parametrize("stage", ["fusion", "perception", "prediction", "planning"])
def test_a_stage_that_crashes_costs_its_result_only(stage: str) -> None:
    noting, pipeline = made(InjectedFault(FaultKind.CRASH, stage, from_us=TICK_US * 2, until_us=TICK_US * 3))
    pipeline.tick(TICK_US, [camera(TICK_US)], lane=0)
    tick = pipeline.tick(2 * TICK_US, [camera(2 * TICK_US)], lane=0)
    assert set(tick.crashes) == {stage}
    assert "injected" in tick.crashes[stage]
    seen = noting.last("watched")
    assert (seen.tracks is None) == (stage == "fusion")
    assert (seen.detections is None) == (stage in ("perception", "fusion"))
    assert (seen.predictions is None) == (stage in ("prediction", "fusion"))
    assert (seen.plan is None) == (stage in ("planning", "fusion"))
    assert seen.ego.trusted == (stage != "fusion")
    if seen.plan is None:
        assert tick.verdict.command == STOP
    after = pipeline.tick(3 * TICK_US, [camera(3 * TICK_US)], lane=0)
    assert (after.crashes, after.standins, after.verdict.mode) == ({}, (), Mode.NORMAL)


def test_late_detections_join_a_later_tick_with_their_own_instant() -> None:
    noting, pipeline = made(InjectedFault(FaultKind.OVERRUN, "perception", 40.0, 0, TICK_US + 1))
    first = pipeline.tick(TICK_US, [camera(TICK_US)], lane=0)
    assert first.late_ms == {"perception": pytest.approx(35.0)}
    assert first.detections is None
    second = pipeline.tick(2 * TICK_US, [], lane=0)
    assert second.detections is not None
    assert second.detections.t_us == TICK_US
    assert noting.last("watched").late_ms == {}
    assert pipeline.tick(3 * TICK_US, [], lane=0).detections is None


def test_detections_that_come_too_late_are_no_use() -> None:
    _, pipeline = made(InjectedFault(FaultKind.OVERRUN, "perception", 700.0, 0, TICK_US + 1))
    pipeline.tick(TICK_US, [camera(TICK_US)], lane=0)
    assert all(pipeline.tick(k * TICK_US, [], lane=0).detections is None for k in range(2, 30))


def test_tracks_move_on_for_half_a_second_and_no_longer() -> None:
    noting, pipeline = made(InjectedFault(FaultKind.CRASH, "fusion", from_us=2 * TICK_US))
    pipeline.tick(TICK_US, [camera(TICK_US)], lane=0)
    fourth = pipeline.tick(4 * TICK_US, [], lane=0)
    assert fourth.tracks is not None
    assert fourth.tracks.mean_N4[0, 0] == pytest.approx(10.0 + 4.0 * 3 * TICK_US / 1e6)
    assert fourth.tracks.cov_N44[0, 0, 0] > 0.1
    assert "tracks" in fourth.standins
    assert noting.last("watched").tracks is None, "the monitor is not told a guess for a measurement"
    assert pipeline.tick(12 * TICK_US, [], lane=0).tracks is None


def test_prediction_gives_way_when_planning_needs_the_rest() -> None:
    """On the wall's clock: perception takes 5 ms, prediction 4, and planning must still fit into ten."""
    noting, agents = noting_agents()
    slow = (
        InjectedFault(FaultKind.OVERRUN, "perception", 4.9),
        InjectedFault(FaultKind.OVERRUN, "prediction", 7.0, until_us=2 * TICK_US),
    )
    pipeline = Pipeline(agents, ROAD, HW, slow, WallClock())
    pipeline.tick(TICK_US, [camera(TICK_US)], lane=0)
    second = pipeline.tick(2 * TICK_US, [camera(2 * TICK_US)], lane=0)
    assert "predictions" in second.standins
    assert second.plan is not None
    assert len(noting.given["moving"]) == 1


def test_a_monitor_that_fails_is_not_papered_over() -> None:
    _, agents = noting_agents()

    class Broken:
        name, deadline_ms = "monitor", 10.0

        def step(self, given: object) -> object:
            raise ZeroDivisionError

    broken = Pipeline(replace(agents, monitor=Broken()), ROAD, HW)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="the safety monitor failed: ZeroDivisionError"):
        broken.tick(TICK_US, [camera(TICK_US)], lane=0)


def test_a_frame_is_the_inboxs_own() -> None:
    noting, pipeline = made()
    frame = camera(TICK_US)
    pipeline.tick(TICK_US, [frame], lane=0)
    frame.image_HW[:] = 0
    assert noting.last("sight").camera.image_HW.min() == 7


def test_what_came_before_the_tick_was_looked_at_then() -> None:
    noting, pipeline = made()
    pipeline.arrive([camera(TICK_US)])
    assert "sight" not in noting.given
    tick = pipeline.tick(TICK_US, [], lane=0)
    assert noting.last("sight").camera is noting.last("ahead"), "the same reading: what was made of it is taken up"
    assert tick.times.ahead_ms > 0
    assert pipeline.tick(2 * TICK_US, [], lane=0).times.ahead_ms == 0, "nothing came since"


def test_a_reading_that_nothing_can_be_made_of_ahead_costs_nothing_else() -> None:
    noting, agents = noting_agents()
    broken = Failing(agents.perception, "ahead")
    pipeline = Pipeline(replace(agents, perception=broken), ROAD, HW)
    pipeline.arrive([camera(TICK_US), camera(TICK_US, 8)])
    assert pipeline.tick(TICK_US, [], lane=0).crashes == {}, "the step meets the reading itself"
    assert noting.last("sight").camera.image_HW.max() == 8


def test_motion_is_heard_as_it_comes_one_by_one() -> None:
    noting, pipeline = made()
    pipeline.arrive([push(TICK_US - 3_000), camera(TICK_US - 2_000), push(TICK_US - 1_000)])
    assert [(each.t_us, len(each.imu)) for each in noting.given["heard"]] == [
        (TICK_US - 3_000, 1), (TICK_US - 1_000, 1),
    ]  # fmt: skip
    tick = pipeline.tick(TICK_US, [push(TICK_US)], lane=0)
    assert [each.stamp.arrived_us for each in noting.last("motion").imu] == [TICK_US], "what was not heard before"
    assert tick.times.heard_ms > 0
    assert pipeline.tick(2 * TICK_US, [], lane=0).times.heard_ms == 0, "nothing came since"


def test_what_came_while_a_driver_drove_is_not_in_the_first_ticks_time() -> None:
    _, pipeline = made()
    pipeline.arrive([push(TICK_US), camera(TICK_US)])
    pipeline.listen(TICK_US, [])
    first = pipeline.tick(2 * TICK_US, [], lane=0)
    assert (first.times.ahead_ms, first.times.heard_ms) == (0.0, 0.0)


def test_a_crash_at_hearing_is_told_in_the_next_tick() -> None:
    _, agents = noting_agents()
    pipeline = Pipeline(replace(agents, fusion=Failing(agents.fusion, "hear")), ROAD, HW)
    pipeline.arrive([push(TICK_US)])
    assert pipeline.tick(TICK_US, [], lane=0).crashes == {"fusion": "ZeroDivisionError: hear"}
    assert pipeline.tick(2 * TICK_US, [], lane=0).crashes == {}


@pytest.mark.parametrize("handed_over", [True, False])
def test_marks_are_read_after_the_verdict_for_the_next_tick(handed_over: bool) -> None:
    noting, pipeline = made()
    fix = LaneFix(TICK_US, np.array([0.0, 1.0]), 8.0, 1.7, 0.2)
    noting.lane = fix
    pipeline.tick(TICK_US, [camera(TICK_US)], lane=0)
    assert "marks" not in noting.given
    if handed_over:
        pipeline.arrive([push(TICK_US + 1_000)])
        assert noting.last("marks") is noting.last("sight")
    pipeline.tick(2 * TICK_US, [], lane=0)
    assert noting.last("heard" if handed_over else "motion").lanes == (fix,)
    pipeline.arrive([push(2 * TICK_US + 1_000)])
    pipeline.tick(3 * TICK_US, [], lane=0)
    assert noting.last("heard").lanes == noting.last("motion").lanes == (), "once"
    assert len(noting.given["marks"]) == 1


def test_a_crash_at_the_marks_is_told_in_the_next_tick() -> None:
    _, agents = noting_agents()
    pipeline = Pipeline(replace(agents, perception=Failing(agents.perception, "marks")), ROAD, HW)
    assert pipeline.tick(TICK_US, [camera(TICK_US)], lane=0).crashes == {}
    assert pipeline.tick(2 * TICK_US, [], lane=0).crashes == {"perception": "ZeroDivisionError: marks"}
    assert pipeline.tick(3 * TICK_US, [], lane=0).crashes == {}


def test_overruns_by_the_wall_are_real() -> None:
    clock = WallClock()
    began = time.perf_counter()
    clock.spend_ms(5.0)
    assert time.perf_counter() - began >= 0.005
