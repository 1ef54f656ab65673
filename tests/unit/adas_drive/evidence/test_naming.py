"""Every fault that can be injected has a row that says which of the monitor's words name it."""

import pytest

from agentforge.phase7_adas.drive.evidence.collector import FaultSeen
from agentforge.phase7_adas.drive.evidence.naming import first_named, names_of
from agentforge.phase7_adas.drive.injected import FaultKind, InjectedFault
from agentforge.phase7_adas.drive.safety.faults import CODES
from agentforge.phase7_adas.drive.scenarios.catalogue import SCENARIOS
from agentforge.phase7_adas.drive.scenarios.faults import STAGE_NAMES
from agentforge.phase7_adas.drive.sensors import faulty
from agentforge.phase7_adas.drive.v2x import radio

pytestmark = pytest.mark.requirement("SR5")
ALL = [
    *((kind, where) for where, kinds in sorted(faulty.CAN.items()) for kind in sorted(kinds)),
    *((kind, "v2x") for kind in sorted(radio.CAN)),
    *((kind, stage) for kind in (FaultKind.OVERRUN, FaultKind.CRASH) for stage in STAGE_NAMES),
]


def test_every_kind_of_fault_is_among_those_looked_at() -> None:
    assert {kind for kind, _ in ALL} == set(FaultKind)
    driven = {(fault.kind, fault.where) for one in SCENARIOS.values() for fault in one.faults}
    assert driven <= set(ALL)


@pytest.mark.parametrize(("kind", "where"), ALL)
def test_every_fault_has_words_of_the_monitor_or_is_known_to_have_none(kind: FaultKind, where: str) -> None:
    names = names_of(InjectedFault(kind, where))
    assert {name.code for name in names} <= set(CODES)
    assert bool(names) == (where != "v2x"), "the car has no word for what the receiver drops"


def seen(code: str, where: str, fact: str = "", t_us: int = 5_000_000) -> FaultSeen:
    return FaultSeen(code, where, t_us, t_us, fact)


def test_a_fault_is_named_by_its_own_words_alone() -> None:
    silent = InjectedFault(FaultKind.DROPOUT, "gps", from_us=4_000_000)
    wrong = [
        seen("SENSOR_SILENT", "imu"),
        seen("EGO_UNTRUSTED", "ego", "compass contradicts the ego"),
        seen("SENSOR_BLIND", "camera"),
        seen("EGO_UNTRUSTED", "ego", "gps silent", 3_900_000),
    ]
    assert first_named((silent,), wrong) is None
    right = seen("EGO_UNTRUSTED", "ego", "gps silent; imu silent", 5_100_000)
    later = seen("SENSOR_SILENT", "gps", t_us=5_200_000)
    assert first_named((silent,), [*wrong, later, right]) == right


def test_a_ghost_is_named_by_what_it_is_told_of_and_a_stage_by_what_it_does_not_make() -> None:
    ghost = InjectedFault(FaultKind.GHOST, "radar", 20.0)
    assert first_named((ghost,), [seen("OBJECT_ONE_SOURCE", "track 7")]) is not None
    crash = InjectedFault(FaultKind.CRASH, "planning")
    assert first_named((crash,), [seen("PLAN_LOST", "plan")]) is not None
    assert first_named((crash,), [seen("STAGE_MISSING", "tracks")]) is None


def test_what_never_ends_is_named_however_late() -> None:
    assert first_named((InjectedFault(FaultKind.BLIND, "lidar"),), [seen("SENSOR_BLIND", "lidar", t_us=10**12)])
