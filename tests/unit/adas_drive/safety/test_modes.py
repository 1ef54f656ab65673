import pytest

from agentforge.phase7_adas.drive.messages import Fault, Mode
from agentforge.phase7_adas.drive.safety.faults import CODES, MODE_OF, Reaction
from agentforge.phase7_adas.drive.safety.modes import Modes, Recovery, wanted

pytestmark = pytest.mark.requirement("SR6")

TICK_US = 50_000
BY = Recovery()


def told(code: str) -> list[Fault]:
    return [Fault(code, 0, "a test", "")]


def run(modes: Modes, t_us: int, seconds: float, code: str | None = None, speed: float = 10.0) -> int:
    """The time afterwards."""
    for _ in range(round(seconds * 1e6 / TICK_US)):
        t_us += TICK_US
        modes.step(t_us, told(code) if code else [], speed)
    return t_us


def test_down_at_once() -> None:
    modes = Modes()
    for code in ("SENSOR_SILENT", "SIGHT_POOR", "SIGHT_LOST"):
        assert modes.step(TICK_US, told(code), 10.0) == MODE_OF[CODES[code].reaction]


def test_notes_and_overrides_change_no_mode() -> None:
    assert wanted(told("STAGE_LATE") + told("RSS_DISTANCE")) == Mode.NORMAL
    assert wanted([]) == Mode.NORMAL


@pytest.mark.parametrize(
    ("code", "after_us", "then"),
    [
        ("SENSOR_SILENT", BY.degraded_us, Mode.NORMAL),
        ("SIGHT_POOR", BY.minimal_risk_us, Mode.DEGRADED),
        ("COLLISION_NEAR", BY.emergency_us, Mode.DEGRADED),
    ],
)
def test_up_only_after_a_time_without_a_cause(code: str, after_us: int, then: Mode) -> None:
    modes = Modes()
    t_us = run(modes, 0, 0.2, code)
    down = modes.mode
    t_us = run(modes, t_us, after_us / 1e6 - 0.05)
    assert modes.mode == down
    run(modes, t_us, 0.1)
    assert modes.mode == then


def test_a_cause_that_comes_back_starts_the_time_again() -> None:
    modes = Modes()
    t_us = run(modes, 0, 0.1, "SENSOR_SILENT")
    for _ in range(10):
        t_us = run(modes, run(modes, t_us, 0.5), 0.05, "SENSOR_SILENT")
        assert modes.mode == Mode.DEGRADED


def test_a_milder_cause_does_not_end_a_worse_mode_early() -> None:
    modes = Modes()
    t_us = run(modes, 0, 0.1, "SIGHT_LOST")
    run(modes, t_us, 0.5, "SENSOR_SILENT")
    assert modes.mode == Mode.EMERGENCY


def test_who_has_come_to_rest_stays_until_nothing_asks_for_it() -> None:
    modes = Modes()
    t_us = run(modes, 0, 1.0, "SIGHT_LOST")
    t_us = run(modes, t_us, 1.0, "SIGHT_LOST", speed=0.0)
    seen = [modes.mode]
    t_us = run(modes, t_us, 30.0, "SIGHT_LOST", speed=0.0)
    seen.append(modes.mode)
    t_us = run(modes, t_us, BY.stopped_us / 1e6 - 0.1, None, speed=0.0)
    seen.append(modes.mode)
    t_us = run(modes, t_us, 0.2, None, speed=0.0)
    seen.append(modes.mode)
    run(modes, t_us, BY.degraded_us / 1e6 + 0.1)
    assert [*seen, modes.mode] == [Mode.STOPPED, Mode.STOPPED, Mode.STOPPED, Mode.DEGRADED, Mode.NORMAL]


def test_standing_in_traffic_is_not_stopped() -> None:
    modes = Modes()
    run(modes, 0, 20.0, "SENSOR_SILENT", speed=0.0)
    assert modes.mode == Mode.DEGRADED


def test_severe_reactions_are_severe_codes() -> None:
    for code in CODES.values():
        assert code.meaning
        assert code.severity in ("QM", "A", "B", "C", "D")
        if code.reaction >= Reaction.MINIMAL_RISK:
            assert code.severity in ("C", "D"), code.code
