from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from agentforge.phase7_adas.drive.agent import Motion
from agentforge.phase7_adas.drive.fusion.ego import EgoFilter
from agentforge.phase7_adas.drive.readings import GpsReading, ImuReading, Stamp
from tests.unit.adas_drive.fusion.streams import Drive, drive, errors, follow, jumped

pytestmark = pytest.mark.requirement("SR2")

DRIVE = drive(1, 12.0)


def test_knows_where_it_is_and_how_well() -> None:
    egos = follow(DRIVE, EgoFilter(Counter()), 11.0)
    assert not egos[0].trusted or egos[0].t_us >= 50_000
    settled = egos[20:]
    off = errors(DRIVE, settled)
    assert all(each.trusted for each in settled), [each.reasons for each in settled if not each.trusted][:3]
    place, heading, speed, turn = (np.sqrt((off[:, at] ** 2).mean()) for at in ([0, 1], 2, 3, 5))
    assert place < 1.8
    assert heading < 0.01
    assert speed < 0.1
    assert turn < 0.01
    nees = [row @ np.linalg.solve(each.cov_66, row) / 6 for row, each in zip(off, settled, strict=True)]
    assert 0.05 < np.mean(nees) < 2.0


def test_before_the_first_fix_it_says_that_it_knows_nothing() -> None:
    ego = EgoFilter(Counter()).step(Motion(50_000, tuple(DRIVE.imu[:4]), ()))
    assert not ego.trusted
    assert ego.reasons == ("no fix yet",)
    assert ego.cov_66[0, 0] > 1e5


@pytest.mark.parametrize("metres", [8.0, 40.0, 5000.0])
def test_a_jump_of_gps_does_not_move_it(metres: float) -> None:
    counts: Counter[str] = Counter()
    calm, jumping = EgoFilter(Counter()), EgoFilter(counts)
    told = jumped(DRIVE, 5_000_000, 7_000_000, metres)
    one, other = follow(DRIVE, calm, 11.0), follow(told, jumping, 11.0)
    apart = [np.linalg.norm(a.state_6[:2] - b.state_6[:2]) for a, b in zip(one, other, strict=True)]
    assert max(apart) < 1.0
    assert counts["gps/gate"] == 10
    at = next(each.t_us for each in other if each.t_us > 5_000_000 and not each.trusted)
    assert at <= 5_350_000  # the second fix that jumped, and its latency
    assert "gps contradicts the ego" in next(each for each in other if each.t_us == at).reasons
    assert other[-1].trusted


def test_heard_one_by_one_or_all_at_once_is_the_same() -> None:
    """But for the heading that it begins with: that of the compass when the first fix comes."""
    together, apart = EgoFilter(Counter()), EgoFilter(Counter())
    one = follow(DRIVE, together, 11.0)
    other = []
    for t_us in range(50_000, 11_000_000, 50_000):
        came = DRIVE.motion(t_us, t_us - 50_000)
        for each in sorted((*came.imu, *came.gps), key=lambda reading: reading.stamp.arrived_us):
            imu, gps = ((each,), ()) if isinstance(each, ImuReading) else ((), (each,))
            apart.hear(Motion(each.stamp.arrived_us, imu, gps))
        other.append(apart.step(Motion(t_us, (), ())))
    assert [each.reasons for each in one] == [each.reasons for each in other]
    off = np.abs([a.state_6 - b.state_6 for a, b in zip(one, other, strict=True)])
    assert off.max() < 0.03
    assert off[-20:].max() < 0.003


def test_late_and_swapped_readings_end_where_ordered_ones_do() -> None:
    counts: Counter[str] = Counter()
    rng = np.random.default_rng(0)

    def late(stamp: Stamp) -> Stamp:
        return replace(stamp, arrived_us=stamp.arrived_us + int(rng.integers(0, 200_000)))

    first = [each for each in DRIVE.gps if each.stamp.taken_us < 500_000]
    swapped = Drive(
        DRIVE.truth,
        [replace(each, stamp=late(each.stamp)) for each in DRIVE.imu],
        first + [replace(each, stamp=late(each.stamp)) for each in DRIVE.gps[len(first) :]],
    )
    straight, shaken = follow(DRIVE, EgoFilter(Counter()), 11.0)[-1], follow(swapped, EgoFilter(counts), 11.0)[-1]
    assert np.abs(straight.state_6[:4] - shaken.state_6[:4]).max() < 0.6
    assert counts["gps/admitted"] >= 50
    assert counts["imu/admitted"] >= 1050
    assert not counts["imu/too old"]


def test_stamps_of_another_time_are_refused_and_counted() -> None:
    counts: Counter[str] = Counter()
    ego = EgoFilter(counts)
    follow(DRIVE, ego, 2.0)
    fix, push = DRIVE.gps[10], DRIVE.imu[200]
    skewed = replace(fix, stamp=replace(fix.stamp, taken_us=2_300_000))
    stale = replace(push, stamp=replace(push.stamp, taken_us=1_000_000))
    before = counts.copy()
    ego.step(Motion(2_000_000, (stale,), (skewed, DRIVE.gps[7])))
    assert counts["gps/future"] - before["gps/future"] == 1
    assert counts["imu/too old"] - before["imu/too old"] == 1
    assert counts["gps/too old"] + counts["gps/repeated"] - before["gps/too old"] - before["gps/repeated"] == 1


@pytest.mark.parametrize(
    ("sensor", "reason"), [("imu", "imu silent"), ("gps", "gps silent")], ids=["no imu", "no gps"]
)
def test_silence_is_told(sensor: str, reason: str) -> None:
    cut = 4_000_000
    told = Drive(
        DRIVE.truth,
        [each for each in DRIVE.imu if sensor != "imu" or each.stamp.taken_us < cut],
        [each for each in DRIVE.gps if sensor != "gps" or each.stamp.taken_us < cut],
    )
    egos = follow(told, EgoFilter(Counter()), 8.0)
    first = next(each for each in egos if each.t_us > cut and not each.trusted)
    assert reason in first.reasons
    assert first.t_us - cut <= (200_000 if sensor == "imu" else 1_300_000)


def test_a_frozen_sensor_is_told() -> None:
    held = DRIVE.imu[400]
    imu = [replace(held, stamp=each.stamp) if each.stamp.taken_us > 4_000_000 else each for each in DRIVE.imu]
    egos = follow(Drive(DRIVE.truth, imu, DRIVE.gps), EgoFilter(Counter()), 5.0)
    first = next(each for each in egos if each.t_us > 4_000_000 and not each.trusted)
    assert "imu frozen" in first.reasons
    assert first.t_us <= 4_100_000


def test_a_gyro_that_lies_is_found_by_the_compass() -> None:
    imu = [
        replace(each, gyro_3=each.gyro_3 + np.array([0, 0, 0.1])) if each.stamp.taken_us > 4_000_000 else each
        for each in DRIVE.imu
    ]
    egos = follow(Drive(DRIVE.truth, imu, DRIVE.gps), EgoFilter(Counter()), 8.0)
    first = next(each for each in egos if each.t_us > 4_000_000 and not each.trusted)
    assert first.t_us < 6_500_000
    assert np.abs(errors(DRIVE, egos[-10:])[:, 2]).max() < 0.1


NOTHING = [float("nan"), float("inf"), -float("inf"), 1e300]


@pytest.mark.parametrize("bad", NOTHING)
def test_garbage_changes_nothing(bad: float) -> None:
    counts: Counter[str] = Counter()
    ego, clean = EgoFilter(counts), EgoFilter(Counter())
    follow(DRIVE, ego, 2.0)
    follow(DRIVE, clean, 2.0)
    stamp = Stamp("imu", 7, 1_996_000, 2_000_000)
    three = np.full(3, bad)
    fix = GpsReading(replace(stamp, sensor="gps"), np.full(2, bad), np.zeros(2), 1.0)
    pushes = (ImuReading(stamp, three, np.zeros(3), np.zeros(3)), ImuReading(stamp, np.zeros(2), three, three))
    one, other = ego.step(Motion(2_000_000, pushes, (fix,))), clean.step(Motion(2_000_000, (), ()))
    assert np.array_equal(one.state_6, other.state_6)
    assert counts["imu/garbage"] == 2
    assert counts["gps/garbage"] == 1


def test_what_is_no_reading_at_all_is_refused() -> None:
    counts: Counter[str] = Counter()
    strange = (None, "imu", ImuReading(None, None, None, None), object())  # type: ignore[arg-type]
    ego = EgoFilter(counts).step(Motion(0, strange, strange))  # type: ignore[arg-type]
    assert not ego.trusted
    assert counts["imu/garbage"] == 4
    assert counts["gps/garbage"] == 4


def test_the_same_readings_give_the_same_bytes() -> None:
    one, other = (follow(DRIVE, EgoFilter(Counter()), 3.0)[-1] for _ in range(2))
    assert one.state_6.tobytes() == other.state_6.tobytes()
    assert one.cov_66.tobytes() == other.cov_66.tobytes()
