"""Every fault code: raised by its cause, with its reaction in the same tick, and not raised without it."""

import dataclasses

import numpy as np
import pytest

from agentforge.phase7_adas.drive.agent import Watched
from agentforge.phase7_adas.drive.messages import Command
from agentforge.phase7_adas.drive.safety.faults import CODES, MODE_OF, Reaction
from tests.unit.adas_drive.planning.bench import TICK_US, stamps, straight
from tests.unit.adas_drive.planning.roads import RIGHT
from tests.unit.adas_drive.safety.given import (
    SPEED_MPS,
    Rows,
    Spoil,
    changed,
    codes,
    detections,
    first_with,
    healthy,
    plan,
    watch,
)

pytestmark = pytest.mark.requirement("SR5")

NAN = float("nan")
ALONGSIDE: Rows = ((80.0, RIGHT + 3.5, SPEED_MPS, 0.0), (90.0, -2.5, 0.0, 0.0))
"""Traffic beside, and somebody at the kerb: nothing to be done about."""


def replaced(given: Watched, part: str, **what: object) -> Watched:
    return dataclasses.replace(given, **{part: dataclasses.replace(getattr(given, part), **what)})


def silent(*names: str) -> Spoil:
    """Since the tick before the first spoiled one."""

    def spoil(given: Watched, since: int) -> Watched:
        arrived, taken = stamps(given.t_us - (since + 1) * TICK_US)
        return dataclasses.replace(
            given,
            arrived_us={**given.arrived_us, **{name: arrived[name] for name in names}},
            taken_us={**given.taken_us, **{name: taken[name] for name in names}},
        )

    return spoil


def frozen(given: Watched, since: int) -> Watched:
    return dataclasses.replace(given, changed_us={"camera": given.t_us - since * TICK_US})


def stamped(name: str, off_us: int) -> Spoil:
    def spoil(given: Watched, _: int) -> Watched:
        return dataclasses.replace(given, taken_us={**given.taken_us, name: given.taken_us[name] + off_us})

    return spoil


def unseen_by(flags: int) -> Spoil:
    def spoil(given: Watched, _: int) -> Watched:
        assert given.tracks is not None
        return replaced(given, "tracks", sources_N=np.full(len(given.tracks.id_N), flags))

    return spoil


def moved_ego(**columns: float) -> Spoil:
    names = ("x", "y", "heading", "speed", "accel", "yaw_rate")

    def spoil(given: Watched, _: int) -> Watched:
        state = given.ego.state_6.copy()
        for name, value in columns.items():
            state[names.index(name)] += value
        return replaced(given, "ego", state_6=state)

    return spoil


def same_ego(given: Watched, _: int) -> Watched:
    return replaced(given, "ego", state_6=healthy(5).ego.state_6)


def same_tracks(given: Watched, _: int) -> Watched:
    there = healthy(5, ALONGSIDE).tracks
    assert there is not None
    return replaced(given, "tracks", mean_N4=there.mean_N4)


def leaping_track(given: Watched, since: int) -> Watched:
    assert given.tracks is not None
    mean = given.tracks.mean_N4.copy()
    mean[0, 0] += 8.0 if since % 2 == 0 else 0.0
    return replaced(given, "tracks", mean_N4=mean)


def with_plan(**what: object) -> Spoil:
    return lambda given, _: replaced(given, "plan", **what)


def states(row: int, column: int, value: float) -> Spoil:
    def spoil(given: Watched, _: int) -> Watched:
        assert given.plan is not None
        changed_T5 = given.plan.states_T5.copy()
        changed_T5[row, column] += value
        return replaced(given, "plan", states_T5=changed_T5)

    return spoil


def nan_in(part: str, name: str) -> Spoil:
    def spoil(given: Watched, _: int) -> Watched:
        array = np.array(getattr(getattr(given, part), name), dtype=np.float64)
        array.reshape(-1)[-1] = NAN
        return replaced(given, part, **{name: array})

    return spoil


def late(every: int) -> Spoil:
    return lambda given, since: dataclasses.replace(given, late_ms={"planning": 3.0} if since % every == 0 else {})


def broken(given: Watched, _: int) -> Watched:
    return dataclasses.replace(given, road=None)  # type: ignore[arg-type]


AHEAD: Rows = ((110.0, RIGHT, 0.0, 0.0),)
NEARER: Rows = ((60.0 + 2.3 + 2.25 + 4.5, RIGHT, SPEED_MPS, 0.0),)
"""A gap of 4.5 m at the same speed: less than RSS wants, and no danger now."""


def plans_through(given: Watched, _: int) -> Watched:
    """Somebody slower comes in from the side where the plan goes, not near yet."""
    there = given.tracks
    assert there is not None
    x = float(given.ego.state_6[0])
    mean = np.array([[x + 20.0, RIGHT + 2.6, 2.0, -1.2]])
    there = dataclasses.replace(there, mean_N4=mean)
    return dataclasses.replace(given, tracks=there, predictions=straight(there))


CAUSES: dict[str, tuple[Spoil | None, Rows]] = {
    "SENSOR_SILENT": (silent("lidar"), ()),
    "SENSOR_STALE": (stamped("radar", -300_000), ()),
    "SENSOR_CLOCK": (stamped("camera", 60_000), ()),
    "SENSOR_FROZEN": (frozen, ()),
    "SENSOR_BLIND": (unseen_by(6), ((85.0, RIGHT + 3.5, SPEED_MPS, 0.0),)),
    "SIGHT_POOR": (silent("lidar", "camera"), ()),
    "SIGHT_LOST": (silent("lidar", "camera", "radar"), ()),
    "MOTION_LOST": (silent("imu", "gps"), ()),
    "STAGE_LATE": (late(20), ()),
    "STAGE_SLOW": (late(2), ()),
    "STAGE_MISSING": (changed(plan=None), ()),
    "DETECTIONS_LOST": (changed(detections=None), ()),
    "TRACKS_LOST": (changed(tracks=None), ()),
    "PREDICTIONS_LOST": (changed(predictions=None), ()),
    "PLAN_LOST": (changed(plan=None), ()),
    "EGO_UNTRUSTED": (lambda given, _: replaced(given, "ego", trusted=False, reasons=("a test",)), ()),
    "EGO_NOT_NUMBER": (moved_ego(heading=NAN), ()),
    "EGO_JUMP": (moved_ego(y=3.0), ()),
    "EGO_FROZEN": (same_ego, ()),
    "EGO_LOST": (lambda given, _: replaced(given, "ego", trusted=False), ()),
    "DETECTIONS_NOT_NUMBER": (nan_in("detections", "xy_N2"), ()),
    "DETECTIONS_FROZEN": (lambda given, _: dataclasses.replace(given, detections=detections(given.t_us, 0)), ()),
    "TRACKS_NOT_NUMBER": (nan_in("tracks", "mean_N4"), ALONGSIDE),
    "TRACKS_FROZEN": (same_tracks, ALONGSIDE),
    "TRACK_TELEPORT": (leaping_track, ALONGSIDE),
    "PREDICTIONS_NOT_NUMBER": (nan_in("predictions", "xy_NKT2"), ALONGSIDE),
    "PLAN_NOT_NUMBER": (with_plan(command=Command(NAN, 0.0)), ()),
    "PLAN_STALE": (lambda given, _: replaced(given, "plan", t_us=given.t_us - 200_000), ()),
    "PLAN_ELSEWHERE": (states(0, 1, 3.5), ()),
    "PLAN_TOO_HARD": (states(20, 0, 5.0), ()),
    "PLAN_INFEASIBLE": (with_plan(feasible=False), ()),
    "COMMAND_LIMIT": (with_plan(command=Command(0.0, 0.5)), ()),
    "RSS_DISTANCE": (None, NEARER),
    "PLAN_COLLIDES": (plans_through, ((84.0, RIGHT + 2.6, 2.0, -1.2),)),
    "COLLISION_NEAR": (None, ((85.0, RIGHT, 0.0, 0.0),)),
    "OBJECT_ONE_SOURCE": (unseen_by(2), ((80.0, RIGHT, SPEED_MPS - 4.0, 0.0),)),
    "OFF_LANES": (None, ()),
    "MONITOR_FAILED": (broken, ()),
}  # fmt: skip


def test_every_code_has_a_cause_here() -> None:
    assert set(CAUSES) == set(CODES)


@pytest.mark.parametrize("code", sorted(set(CODES) - {"OFF_LANES"}))
def test_its_cause_raises_it_and_the_reaction_begins_at_once(code: str) -> None:
    spoil, rows = CAUSES[code]
    verdicts = watch(spoil, 60 if code in ("SENSOR_BLIND", "EGO_LOST") else 40, rows=rows)
    tick = first_with(code, verdicts)
    assert verdicts[tick].mode >= MODE_OF[CODES[code].reaction]
    if CODES[code].reaction >= Reaction.MINIMAL_RISK:
        assert verdicts[tick + 1].command.accel_mps2 < 0.0
        assert verdicts[min(tick + 15, len(verdicts) - 1)].command.accel_mps2 <= -2.0


def test_off_lanes() -> None:
    """It drifts: a state that leaps there is not believed."""

    def drift(given: Watched, since: int) -> Watched:
        y = -0.08 * since
        given = moved_ego(y=y)(given, since)
        return dataclasses.replace(given, plan=plan(given.t_us, float(given.ego.state_6[0]), d=RIGHT + y))

    verdicts = watch(drift, 40)
    tick = first_with("OFF_LANES", verdicts)
    assert verdicts[tick].mode >= MODE_OF[CODES["OFF_LANES"].reaction]
    assert codes(verdicts) == {"OFF_LANES"}


@pytest.mark.parametrize("rows", [(), ALONGSIDE, ((120.0, RIGHT, SPEED_MPS, 0.0),)])
def test_without_a_cause_none_is_raised(rows: Rows) -> None:
    """Of all the codes: sixty healthy ticks, alone, with traffic beside, and behind somebody far ahead."""
    verdicts = watch(None, 60, rows=rows)
    assert codes(verdicts) == set()
    assert all(verdict.command == Command(0.0, 0.0) for verdict in verdicts)


NEARLY: dict[str, tuple[Spoil, Rows]] = {
    "SENSOR_SILENT": (lambda given, since: silent("lidar")(given, since) if since < 3 else given, ()),
    "SENSOR_STALE": (stamped("radar", -15_000), ()),
    "SENSOR_CLOCK": (stamped("camera", 8_000), ()),
    "EGO_JUMP": (moved_ego(y=0.5), ()),
    "TRACK_TELEPORT": (lambda given, since: leaping_track(given, 1), ALONGSIDE),
    "PLAN_ELSEWHERE": (states(0, 1, 0.4), ()),
    "PLAN_STALE": (lambda given, _: replaced(given, "plan", t_us=given.t_us - 50_000), ()),
    "COMMAND_LIMIT": (with_plan(command=Command(-8.9, 0.17)), ()),
    "OBJECT_ONE_SOURCE": (unseen_by(6), ((90.0, RIGHT, SPEED_MPS, 0.0),)),
}


@pytest.mark.parametrize("code", sorted(NEARLY))
def test_less_than_its_cause_does_not_raise_it(code: str) -> None:
    spoil, rows = NEARLY[code]
    assert code not in codes(watch(spoil, 20, rows=rows))


def test_one_overrun_is_told_and_nothing_else() -> None:
    verdicts = watch(late(100), 30)
    assert codes(verdicts) == {"STAGE_LATE"}
    assert max(verdict.mode for verdict in verdicts) == 0
