"""What a hazard is by the truth, how soon it is braked for: truths and drives that are written down by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agentforge.phase7_adas.drive.closed_loop.hazards import Hazards, hazards, needed_mps2
from agentforge.phase7_adas.drive.closed_loop.many import Task, outcomes_of, write_down
from agentforge.phase7_adas.drive.closed_loop.outcome import Outcome, judge
from agentforge.phase7_adas.drive.closed_loop.run import drive
from agentforge.phase7_adas.drive.closed_loop.summary import by_scenario, results
from agentforge.phase7_adas.drive.evidence.collector import FIGURES, Collector
from agentforge.phase7_adas.drive.orchestrator.pipeline import TICK_US
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.scenarios.catalogue import SCENARIOS
from agentforge.phase7_adas.drive.scenarios.scenario import Wanted
from agentforge.phase7_adas.drive.truth import Bodies, Floats, Kind, Truth, Weather

pytestmark = pytest.mark.requirement("SR1")
ROAD = Road(pieces=((500.0, 0.0),), lanes=2, oncoming=1)
LANE = ROAD.lane_centre_d(0)
CAR, PERSON = (4.0, 1.8, 1.5), (0.5, 0.6, 1.7)
LEFT, RIGHT, BACK = np.pi / 2, -np.pi / 2, np.pi
TICKS = 200


def need(
    gap: float, aside: float, heading: float, speed: float, size: tuple[float, ...] = CAR, ego_mps: float = 12.0
) -> float:
    """For somebody so far ahead, from bumper to bumper, and so far to the left of the ego's middle."""
    along = size[0] if np.cos(heading) ** 2 > 0.5 else size[1]
    ego = np.array([100.0, LANE, 0.0, ego_mps, 0.0, 0.0])
    state = np.array([[100.0 + 2.3 + gap + along / 2, LANE + aside, heading, speed, 0.0, 0.0]])
    other = Bodies(np.array([1]), np.array([Kind.VEHICLE]), state, np.array([size]))
    return needed_mps2(Truth(0, ego, np.array([4.6, 1.9, 1.5]), other, Weather()), ROAD)


def test_the_need_is_to_be_as_slow_as_who_is_ahead_or_to_stand_if_they_come() -> None:
    assert need(24.0, 0.0, 0.0, 0.0) == pytest.approx(12.0**2 / 48.0)
    assert need(24.0, 0.0, 0.0, 6.0) == pytest.approx(6.0**2 / 48.0)
    assert need(24.0, 0.0, 0.0, 13.0) == 0.0
    # stands after v / a; the other has come 8 v / a nearer until then
    assert need(60.0, 0.0, BACK, 8.0) == pytest.approx(12.0 * (12.0 + 2 * 8.0) / 120.0)
    assert need(-30.0, 0.0, 0.0, 20.0) == 0.0, "from behind: brakes do not help"
    assert need(-5.0, 1.9, 0.0, 8.0) == 0.0, "beside its rear half: nor do they there"


def test_who_is_beside_the_way_and_stays_there_is_no_need() -> None:
    assert need(24.0, 3.5, BACK, 12.0) == 0.0, "comes in the other lane"
    assert need(24.0, -2.8, 0.0, 0.0) == 0.0, "parked at the kerb"
    assert need(24.0, -2.8, RIGHT, 1.4, PERSON) == 0.0, "walks away"
    assert need(24.0, -1.0, RIGHT, 1.4, PERSON) == 0.0, "and is out of the way when the ego gets there"


def test_who_steps_in_from_the_side_is_a_need_by_where_they_will_be() -> None:
    assert need(24.0, -3.5, LEFT, 1.2, PERSON) == pytest.approx(12.0**2 / 48.0), (
        "in it for longer than a stop takes"
    )
    assert need(24.0, -3.5, 0.0, 0.0, PERSON) == 0.0, "and did not step in yet"
    assert need(24.0, -9.0, LEFT, 1.4, PERSON) == 0.0, "the ego is past by then"
    assert need(24.0, -3.5, LEFT, 4.0, PERSON) == 0.0, "they are across by then"
    out_s = (3.5 + 0.95 + 0.25 + 0.2) / 2.2  # the ego is there 2 s from now: it waits a little
    assert need(24.0, -3.5, LEFT, 2.2, PERSON) == pytest.approx(2 * (12.0 * out_s - 24.0) / out_s**2)


def test_an_empty_road_and_an_ego_that_stands_need_nothing() -> None:
    nobody = Bodies(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 6)), np.zeros((0, 3)))
    assert needed_mps2(Truth(0, np.zeros(6), np.ones(3), nobody, Weather()), ROAD) == 0.0
    assert need(1.0, 0.0, BACK, 5.0, ego_mps=0.0) == 0.0
    assert np.isfinite(need(-0.5, 0.0, 0.0, 0.0)), "they touch already"


def written(needed: Floats, brakes_at: int | None = None) -> Collector:
    made = Collector(TICKS)
    made.count = TICKS
    made.t_us[:] = np.arange(1, TICKS + 1) * TICK_US
    made.figures[: len(needed), FIGURES.index("needed")] = needed
    if brakes_at is not None:
        made.figures[brakes_at:, FIGURES.index("commanded")] = -1.5
    return made


def sudden(high: float = 3.0, until: int = TICKS) -> Floats:
    """Nothing, and from tick 100 on so much."""
    made = np.zeros(TICKS)
    made[100:until] = high
    return made


def test_a_reaction_is_from_the_need_to_the_command() -> None:
    assert hazards(written(sudden(), brakes_at=107)) == Hazards(reactions_ms=[350.0])
    weak = written(sudden())
    weak.figures[:, FIGURES.index("commanded")] = -0.9
    assert hazards(weak) == Hazards(unanswered=1)


def test_what_was_foreseen_what_went_away_and_what_was_never_answered_are_no_reactions() -> None:
    assert hazards(written(sudden(), brakes_at=90)) == Hazards(foreseen=1)
    assert hazards(written(sudden(), brakes_at=100)) == Hazards(foreseen=1)
    assert hazards(written(sudden(until=110), brakes_at=110)) == Hazards(passed=1)
    assert hazards(written(sudden())) == Hazards(unanswered=1)
    assert hazards(written(np.zeros(TICKS))) == Hazards()


def test_a_need_that_grows_slowly_is_a_hazard_only_beyond_comfort() -> None:
    grows = np.linspace(0.0, 2.4, TICKS)  # 0.25 m/s2 each second
    assert hazards(written(grows, brakes_at=150)) == Hazards()
    beyond = np.minimum(np.arange(TICKS) * 0.02, 2.8)  # 2.5 in tick 125
    assert hazards(written(beyond, brakes_at=129)) == Hazards(reactions_ms=[200.0])
    assert hazards(written(sudden(1.2), brakes_at=104)) == Hazards(reactions_ms=[200.0])
    assert hazards(written(sudden(0.9), brakes_at=104)) == Hazards()


def test_a_need_that_rises_and_falls_is_one_hazard_until_it_is_gone() -> None:
    wavers = sudden()
    wavers[110:140] = 0.8  # more than a second
    assert hazards(written(wavers, brakes_at=104)) == Hazards(reactions_ms=[200.0])
    wavers[110:140] = 0.0
    assert hazards(written(wavers, brakes_at=104)) == Hazards(reactions_ms=[200.0], foreseen=1)
    wavers[:] = sudden()
    wavers[110:115] = 0.0  # a quarter of a second is no end
    assert hazards(written(wavers, brakes_at=104)) == Hazards(reactions_ms=[200.0])


def test_what_is_a_hazard_when_the_pipeline_takes_over_is_not_its_own() -> None:
    early = np.zeros(TICKS)
    early[15:60] = 3.0
    assert hazards(written(early)) == Hazards()


def outcome(scenario: str, reactions_ms: list[float], foreseen: int = 0, passed: int = 0) -> Outcome:
    goes = Wanted.GOES_ON
    return Outcome(
        scenario, 0, 20.0, 200.0, 0, 0, 0, 0, goes, goes, None, None, 1.5, 0, 0, 0,
        hazard_reactions_ms=reactions_ms, hazards_foreseen=foreseen, hazards_passed=passed,
    )  # fmt: skip


def test_a_drive_tells_of_its_hazards_also_out_of_its_file(tmp_path: Path) -> None:
    one = judge(SCENARIOS["cut_in"], 0, written(sudden(), brakes_at=107), (), 200.0)
    assert (one.hazard_reactions_ms, one.hazards) == ([350.0], 1)
    write_down(tmp_path / "outcomes", one)
    assert list(outcomes_of(tmp_path / "outcomes")) == [(Task("cut_in", 0), one)]


def test_reactions_are_summed_up_and_those_with_a_fault_apart() -> None:
    drives = [
        outcome("cut_in", [100.0, 300.0], foreseen=2),
        outcome("cut_in", [200.0], passed=1),
        outcome("camera_dropout", [1000.0]),
    ]
    found = {one.key: one for one in results(drives)}
    assert found["hazards/foreseen"].value == pytest.approx(2 / 7)
    assert found["hazards/unanswered"].value == 0
    assert found["hazards/reaction_p50_ms"].value == 250.0
    assert found["hazards/reaction_ms"].value == 1000.0
    assert 300.0 < found["hazards/reaction_p95_ms"].value < 1000.0
    assert found["hazards/reaction_p95_without_fault_ms"].value == pytest.approx(290.0)
    rows = {row["scenario"]: row for row in by_scenario(drives)}
    assert rows["cut_in"]["slowest_hazard_reaction_ms"] == 300.0
    assert [rows["cut_in"][f"hazards{name}"] for name in ("", "_foreseen", "_answered", "_passed")] == [6, 2, 3, 1]
    none = {one.key for one in results([outcome("cut_in", [])])}
    assert not {key for key in none if key.startswith("hazards/")}, "without a hazard there is nothing to tell"


def test_takeovers_without_an_injected_fault_are_told_apart() -> None:
    with_fault = replace(outcome("camera_dropout", []), minimal_risk=3)
    alone = [replace(outcome("cut_in", []), minimal_risk=taken) for taken in (0, 1)]
    found = {one.key: one for one in results([with_fault, *alone])}
    assert found["closed_loop/minimal_risk_without_fault_per_hour"].value == pytest.approx(1 / (40 / 3600))
    assert found["closed_loop/minimal_risk_per_hour"].value == pytest.approx(4 / (60 / 3600))
    key = "closed_loop/minimal_risk_without_fault_per_hour"
    assert key not in {one.key for one in results([with_fault])}


@pytest.mark.timeout(120)
def test_a_real_drive_answers_a_car_that_cuts_in() -> None:
    driven = drive(replace(SCENARIOS["cut_in"], seconds=7.0), 0)
    assert driven.outcome.hazards == 1
    (reaction_ms,) = driven.outcome.hazard_reactions_ms
    assert 50.0 <= reaction_ms <= 1000.0
