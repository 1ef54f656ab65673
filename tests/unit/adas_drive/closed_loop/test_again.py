"""A drive that is recorded gives the same verdicts when it is driven again; whatever else a file is, is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentforge.kit.errors import DataLoss, InvalidInput
from agentforge.phase7_adas.drive.closed_loop import again
from agentforge.phase7_adas.drive.closed_loop.many import Task
from agentforge.phase7_adas.drive.messages import Command
from agentforge.phase7_adas.drive.planning.agent import Planning
from agentforge.phase7_adas.drive.recording.record import Recorder
from agentforge.phase7_adas.drive.recording.replay import Replay
from agentforge.phase7_adas.drive.recording.things import Datagrams
from agentforge.phase7_adas.drive.scenarios.catalogue import SCENARIOS
from agentforge.phase7_adas.drive.scenarios.scenario import Scenario
from tests.unit.adas_drive.recording.things import a_run

SECONDS = 1.5


def recorded(path: Path, monkeypatch: pytest.MonkeyPatch, name: str = "v2x_neighbours", **changed: Any) -> Path:
    def short(task: Task) -> Scenario:
        return replace(SCENARIOS[task.scenario], seconds=SECONDS, **changed)

    monkeypatch.setattr(again, "varied", short)
    again.record(Task(name, 0), path)
    return path


def test_the_same_code_says_the_same_to_the_bit_also_about_what_came_by_radio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recorded(tmp_path / "run.mcap", monkeypatch)
    assert any(isinstance(one, Datagrams) and one.datagrams for one in Replay(path).things())
    found = again.replay(path)
    assert found.holds
    assert found.same_code
    assert found.recorded == found.equal == found.ticks == round((SECONDS - 1.0) / 0.05)
    monkeypatch.setattr(Planning, "step", lambda self, given: _harder(step(self, given)))
    parted = again.replay(path)
    assert not parted.holds
    assert parted.first is not None
    assert parted.first["recorded"] != parted.first["now"]


step = Planning.step


def _harder(plan: Any) -> Any:
    return replace(plan, command=Command(plan.command.accel_mps2 - 1e-12, plan.command.curvature_per_m))


def test_faults_of_stages_act_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = replace(SCENARIOS["planning_crash"].faults[0], from_us=1_100_000)
    found = again.replay(recorded(tmp_path / "run.mcap", monkeypatch, "planning_crash", faults=(fault,)))
    assert found.holds
    assert "MINIMAL_RISK" in found.modes


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    path, road = tmp_path / "run.mcap", again._ROAD.dump_json(SCENARIOS["traffic_flows"].road).decode()
    with Recorder(path, told={"road": road}) as recorder:
        for thing in a_run(6):
            recorder.write(thing)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 4
    for data in (whole[: len(whole) * 2 // 3], bytes(flipped)):
        path.write_bytes(data)
        with pytest.raises(DataLoss, match="is broken") as caught:
            again.replay(path)
        assert caught.value.reason == "RECORDING_BROKEN"


def test_a_log_without_a_map_or_with_a_hole_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.mcap"
    with Recorder(path) as recorder:
        for thing in a_run(2):
            recorder.write(thing)
    with pytest.raises(InvalidInput, match="names no road"):
        again.replay(path)
    road = again._ROAD.dump_json(SCENARIOS["cut_in"].road).decode()
    with Recorder(path, told={"road": road, "lane": "first"}) as recorder:
        recorder.write(Datagrams(50_000, ()))
    with pytest.raises(InvalidInput, match="nothing of use"):
        again.replay(path)
    with Recorder(path, told={"road": road}) as recorder:
        for t_us in (50_000, 10**12):
            recorder.write(Datagrams(t_us, ()))
    with pytest.raises(InvalidInput, match="nothing was recorded for 1000000 s"):
        again.replay(path)


def test_a_log_of_a_car_whose_clock_begins_anywhere_is_driven_without_verdicts(tmp_path: Path) -> None:
    path, road = tmp_path / "log.mcap", again._ROAD.dump_json(SCENARIOS["cut_in"].road).decode()
    began = 1_750_000_000_000_000
    with Recorder(path, told={"road": road}) as recorder:
        for tick in range(1, 25):
            recorder.write(Datagrams(began + tick * 50_000, ()))
    found = again.replay(path)
    assert (found.ticks, found.recorded, found.holds, found.same_code) == (4, 0, True, False)
    assert set(found.modes) <= {"DEGRADED", "MINIMAL_RISK", "EMERGENCY", "STOPPED"}, "a car that senses nothing"
