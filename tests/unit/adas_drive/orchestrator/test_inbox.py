import numpy as np
import pytest

from agentforge.phase7_adas.drive.orchestrator.inbox import Inbox
from agentforge.phase7_adas.drive.readings import GpsReading, RadarReading, Stamp
from tests.unit.adas_drive.orchestrator.agents import HW, camera

pytestmark = pytest.mark.requirement("SR5")


def radar(t_us: int, *ranges: float) -> RadarReading:
    returns = np.array([[each, 0.0, 0.0, 20.0] for each in ranges]).reshape(-1, 4)
    return RadarReading(Stamp("radar", t_us, t_us, t_us), returns)


def test_only_the_newest_of_what_is_seen_counts_and_all_of_what_is_felt() -> None:
    inbox = Inbox(HW)
    gps = [GpsReading(Stamp("gps", k, k, k), np.array([k, 0.0]), np.zeros(2), 1.0) for k in range(3)]
    inbox.put([camera(1, 1), camera(2, 2), *gps, radar(5, 10.0)])
    seen, echoes, points = inbox.sight()
    assert seen is not None
    assert seen.image_HW.max() == 2
    assert echoes is not None
    assert points is None
    assert [one.stamp.sequence for one in inbox.motion()[1]] == [0, 1, 2]
    assert inbox.sight() == (None, None, None)
    assert inbox.motion() == ((), ())


def test_a_payload_that_repeats_is_noticed_though_its_stamp_is_new() -> None:
    inbox = Inbox(HW)
    inbox.put([camera(100, 7), radar(100, 30.0)])
    inbox.put([camera(200, 7), radar(200, 30.1)])
    assert inbox.changed_us == {"camera": 100, "radar": 200}
    assert inbox.arrived_us == {"camera": 200, "radar": 200}
    inbox.put([camera(300, 8)])
    assert inbox.changed_us["camera"] == 300


def test_nothing_seen_twice_is_not_a_frozen_sensor() -> None:
    inbox = Inbox(HW)
    inbox.put([radar(100)])
    inbox.put([radar(200)])
    assert inbox.changed_us == {"radar": 200}


def test_what_is_not_a_number_does_not_count_as_frozen_nor_breaks_anything() -> None:
    inbox = Inbox(HW)
    inbox.put([radar(100, np.nan)])
    inbox.put([radar(200, np.nan)])
    assert inbox.changed_us == {"radar": 200}
