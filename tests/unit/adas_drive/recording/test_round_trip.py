"""What is recorded comes back, to the last bit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentforge.phase7_adas.drive.injected import FaultKind, InjectedFault
from agentforge.phase7_adas.drive.messages import Command, Verdict
from agentforge.phase7_adas.drive.readings import CameraReading, ImuReading, Reading, Stamp
from agentforge.phase7_adas.drive.recording.record import Recorder
from agentforge.phase7_adas.drive.recording.replay import Replay
from agentforge.phase7_adas.drive.recording.things import Thing
from agentforge.phase7_adas.drive.scenarios.catalogue import SCENARIOS
from agentforge.phase7_adas.drive.sensors.suite import Suite
from agentforge.phase7_adas.drive.truth import Truth
from agentforge.phase7_adas.drive.world.world import World
from tests.unit.adas_drive.recording.things import a_run


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return bool(one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes())
    if dataclasses.is_dataclass(one):
        fields = [field.name for field in dataclasses.fields(one)]
        return type(one) is type(other) and all(same(getattr(one, f), getattr(other, f)) for f in fields)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other) or (one != one and other != other)


def record(path: Path, things: list[Thing]) -> Path:
    with Recorder(path, "traffic_flows", 3) as recorder:
        for thing in things:
            recorder.write(thing)
    return path


def test_everything_comes_back_as_it_was(tmp_path: Path) -> None:
    things = a_run()
    replay = Replay(record(tmp_path / "run.mcap", things))
    back = list(replay.things())
    assert len(back) == len(things) == 12 * 7
    assert all(same(one, other) for one, other in zip(things, back, strict=True))
    assert (replay.scenario, replay.seed) == ("traffic_flows", 3)


def test_the_comparison_itself_sees_a_changed_bit() -> None:
    stamp = Stamp("imu", 0, 0, 0)
    one = ImuReading(stamp, np.zeros(3), np.zeros(3), np.zeros(3))
    assert same(one, one)
    assert not same(one, ImuReading(stamp, np.zeros(3), np.zeros(3), np.array([0.0, -0.0, 0.0])))
    assert not same(one, ImuReading(stamp, np.zeros(3), np.zeros(3), np.zeros(3, dtype=np.float32)))


def test_readings_arrive_step_by_step_as_from_a_suite(tmp_path: Path) -> None:
    things = a_run()
    wanted = [thing for thing in things if not isinstance(thing, Truth | Verdict)]
    replay = Replay(record(tmp_path / "run.mcap", things))
    assert replay.read(0) == []
    given = []
    for t_us in range(0, 650_000, 10_000):
        now = replay.read(t_us)
        assert all(t_us - 10_000 < reading.stamp.arrived_us <= t_us for reading in now)
        given += now
    assert replay.read(10**9) == []
    assert len(given) == len(wanted)
    assert all(same(one, other) for one, other in zip(wanted, given, strict=True))
    again = list(replay.readings())
    assert all(same(one, other) for one, other in zip(wanted, again, strict=True))


def test_replayed_arrays_can_be_written_to(tmp_path: Path) -> None:
    first = next(Replay(record(tmp_path / "run.mcap", a_run(1))).readings())
    assert isinstance(first, ImuReading)
    first.accel_3[0] = 1.0


def test_the_same_run_makes_the_same_bytes(tmp_path: Path) -> None:
    one, other = record(tmp_path / "a.mcap", a_run()), record(tmp_path / "b.mcap", a_run())
    assert one.read_bytes() == other.read_bytes()


def test_an_error_while_recording_leaves_no_file(tmp_path: Path) -> None:
    def broken_off() -> None:
        with Recorder(tmp_path / "run.mcap") as recorder:
            recorder.write(a_run(1)[0])
            raise RuntimeError("the loop fell over")

    with pytest.raises(RuntimeError, match="fell over"):
        broken_off()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["camera", "radar", "lidar", "imu", "gps"])
def test_garbage_that_a_sensor_says_comes_back_as_garbage(tmp_path: Path, where: str) -> None:
    world = World(SCENARIOS["empty_road"], 1)
    suite = Suite([InjectedFault(FaultKind.GARBAGE, where)], 1)
    said: list[Reading] = []
    while len([reading for reading in said if reading.stamp.sensor == where]) < 4:
        world.step(Command(0.0, 0.0))
        said += suite.read(world.truth())
    back = list(Replay(record(tmp_path / "run.mcap", list(said))).readings())
    assert all(same(one, other) for one, other in zip(said, back, strict=True))


def test_what_has_no_plain_numbers_is_refused_when_written(tmp_path: Path) -> None:
    odd = np.array([["a"]], dtype=object)
    with Recorder(tmp_path / "run.mcap") as recorder:
        recorder.write(a_run(1)[0])
        with pytest.raises(ValueError, match="image_HW has dtype object"):
            recorder.write(CameraReading(Stamp("camera", 0, 0, 0), odd))
    assert len(list(Replay(tmp_path / "run.mcap").readings())) == 1
