"""What counts as a false stop, a take-over and a reaction, on drives that are written down by hand."""

import numpy as np
import pytest

from agentforge.phase7_adas.drive.closed_loop.outcome import (
    alarms,
    ended,
    false_stops,
    needless_brakes,
    reaction,
    takeovers,
)
from agentforge.phase7_adas.drive.evidence.collector import FIGURES, Collector, FaultSeen
from agentforge.phase7_adas.drive.injected import FaultKind, InjectedFault
from agentforge.phase7_adas.drive.messages import Mode
from agentforge.phase7_adas.drive.orchestrator.pipeline import TICK_US
from agentforge.phase7_adas.drive.scenarios.scenario import Wanted

pytestmark = pytest.mark.requirement("SR6")
TICKS = 400
SECOND = 1_000_000 // TICK_US


def written(modes: dict[int, Mode] | None = None, speed: float = 10.0) -> Collector:
    """From each tick on the mode; everything else as on an empty road."""
    made = Collector(TICKS)
    made.count = TICKS
    made.t_us[:] = np.arange(1, TICKS + 1) * TICK_US
    for tick, mode in sorted((modes or {}).items()):
        made.mode[tick:] = mode
    made.figures[:, FIGURES.index("speed")] = speed
    return made


def told(made: Collector, code: str, tick: int, where: str = "camera") -> None:
    made.faults.append(FaultSeen(code, where, int(made.t_us[tick]), int(made.t_us[tick])))


def test_taking_over_is_counted_once_each_time() -> None:
    made = written({50: Mode.MINIMAL_RISK, 60: Mode.EMERGENCY, 90: Mode.DEGRADED, 100: Mode.MINIMAL_RISK})
    assert takeovers(made.mode) == [50, 100]
    assert takeovers(written().mode) == []


def test_a_stop_without_a_reason_is_false_and_one_with_a_reason_is_not() -> None:
    made = written({200: Mode.EMERGENCY})
    assert false_stops((), made) == [200]
    made.reason[200 - 2 * SECOND] = True  # somebody was in the way two seconds before
    assert false_stops((), made) == []
    made.reason[:] = False
    made.reason[200 - 4 * SECOND] = True
    assert false_stops((), made) == [200]
    shaken = InjectedFault(FaultKind.DROPOUT, "camera", from_us=int(made.t_us[190]))
    assert false_stops((shaken,), made) == []


def test_standing_without_a_reason_is_a_false_stop_after_three_seconds_and_one() -> None:
    made = written()
    speed = made.figures[:, FIGURES.index("speed")]
    speed[100 : 100 + 2 * SECOND] = 0.0
    assert false_stops((), made) == []
    speed[100 : 100 + 6 * SECOND] = 0.0
    assert false_stops((), made) == [100 + 3 * SECOND]


def test_a_reaction_is_from_naming_this_very_fault_to_the_mode_that_it_asks_for() -> None:
    begins = InjectedFault(FaultKind.DROPOUT, "camera", from_us=100 * TICK_US)
    made = written({110: Mode.DEGRADED})
    told(made, "RSS_DISTANCE", 102)  # of the road
    told(made, "SENSOR_SILENT", 104, where="radar")  # a coincidence, or wrong: it was the camera
    told(made, "SENSOR_SILENT", 108)
    assert reaction((begins,), made) == ("SENSOR_SILENT", 9 * TICK_US, 2 * TICK_US)
    assert reaction((), made) == (None, None, None)
    never = written()
    told(never, "SENSOR_SILENT", 108)
    assert reaction((begins,), never) == ("SENSOR_SILENT", 9 * TICK_US, None)
    unseen = written()
    told(unseen, "SENSOR_SILENT", 20)  # before anything was injected
    assert reaction((begins,), unseen) == (None, None, None)


def test_what_is_named_long_after_a_fault_is_over_is_not_that_fault() -> None:
    short = InjectedFault(FaultKind.DROPOUT, "camera", from_us=100 * TICK_US, until_us=120 * TICK_US)
    late = written()
    told(late, "SENSOR_SILENT", 200)
    assert reaction((short,), late) == (None, None, None)


def test_an_alarm_is_a_fault_of_the_car_where_nothing_was_injected_yet() -> None:
    made = written()
    told(made, "RSS_DISTANCE", 20)
    told(made, "STAGE_LATE", 30)  # is told and counted, no more
    told(made, "SENSOR_BLIND", 40)
    told(made, "EGO_UNTRUSTED", 200)
    assert alarms((), made) == 2
    assert alarms((InjectedFault(FaultKind.DROPOUT, "gps", from_us=100 * TICK_US),), made) == 1


def test_braking_for_nothing_is_counted_whatever_was_injected() -> None:
    made = written()
    accel = made.figures[:, FIGURES.index("accel")]
    accel[200:210], accel[215:220] = -6.0, -5.0
    assert needless_brakes(made) == [200]
    accel[200:220] = -3.0
    assert needless_brakes(made) == []
    accel[200] = -6.0
    made.reason[190] = True
    assert needless_brakes(made) == []


def test_how_a_drive_ended() -> None:
    made = written({300: Mode.STOPPED}, speed=0.0)
    assert ended(made.mode, made.column("speed")) is Wanted.MINIMAL_RISK
    still = written(speed=0.0)
    assert ended(still.mode, still.column("speed")) is Wanted.STOPS
    going = written()
    assert ended(going.mode, going.column("speed")) is Wanted.GOES_ON
