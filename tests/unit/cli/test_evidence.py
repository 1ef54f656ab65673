"""`agentforge evidence`: reading what is recorded, measuring it again, and what is said of what is not there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from agentforge.kit.evidence import VERDICTS
from tests.unit.cli.program import ROOT, Program

LABORATORY = ROOT / "tests" / "laboratory"
NAMES = ["claim", "target", "value", "unit", "n", "spread", "verdict", "command"]


@pytest.fixture
def lab(tmp_path: Path) -> Program:
    """The program on a small phase with two experiments, in a package that may be written."""
    shutil.copytree(LABORATORY, tmp_path / "laboratory", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "home").mkdir()
    program = Program(tmp_path / "home", pipeline="laboratory.pipeline", path=str(tmp_path))
    program.environment["LAB_CALLS"] = str(tmp_path / "calls")
    return program


def calls(program: Program) -> list[str]:
    file = Path(program.environment["LAB_CALLS"])
    return [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []


def listed(program: Program, *args: str) -> list[dict[str, Any]]:
    done = program("evidence", *args, "--json")
    assert done.code == 0, done
    found: list[dict[str, Any]] = json.loads(done.out)
    return found


def test_what_was_not_measured_is_said_and_is_no_error(lab: Program) -> None:
    rows = listed(lab, "lab")
    assert [(row["experiment"], row["value"], row["n"]) for row in rows] == [("dice", None, 0), ("coins", None, 0)]
    assert {(row["verdict"], row["method"]) for row in rows} == {("not reached", "not measured yet")}
    shown = lab("evidence", "lab")
    assert shown.code == 0
    assert (
        "NOT MEASURED YET: dice (not measured yet). Measure: agentforge evidence lab --rerun --only dice"
        in shown.out
    )
    assert calls(lab) == [], "reading measures nothing"


def test_measured_again_and_shown(lab: Program) -> None:
    done = lab("evidence", "lab", "--rerun", "--only", "dice")
    assert done.code == 0, done
    assert "dice: 3 of 3 trials to measure\n" in done.err
    assert "dice: 3/3  throw/3" in done.err
    assert f"recorded in {lab.home.parent}/laboratory/experiments/recorded/dice.json" in done.err
    assert "Dice [never] show more than two" in done.out, "brackets are no markup"
    assert "two dice | together" in done.out
    assert "coins" not in done.out
    assert calls(lab) == ["throw/1", "throw/2", "throw/3"]

    rows = listed(lab, "--only", "dice")
    assert [list(row)[:8] for row in rows] == [NAMES] * 3
    assert [row["verdict"] for row in rows] == ["reached", "refuted", "not testable here"]
    assert rows[0]["command"] == "agentforge evidence lab --rerun --only dice"
    assert rows[0]["spread"] > 0
    assert rows[0]["code_changed"] is False
    assert [one["claim"] for one in rows[0]["beside"]] == ["two dice | together"]
    assert (rows[2]["value"], rows[2]["n"], rows[2]["method"]) == (None, 0, "three throws say nothing")
    assert calls(lab) == ["throw/1", "throw/2", "throw/3"]


def test_its_own_command_measures_a_row_again(lab: Program) -> None:
    command = listed(lab, "lab")[1]["command"].split()
    assert lab(*command[1:]).code == 0
    assert [row["verdict"] for row in listed(lab, "lab")] == ["not reached", "reached"]
    assert calls(lab) == ["toss"]
    assert "coins: 1 of 1 trials to measure; all took 0 s on 20" in lab(*command[1:]).err


def test_code_that_changed_since_is_told(lab: Program) -> None:
    assert lab("evidence", "--rerun", "--only", "coins").code == 0
    file = lab.home.parent / "laboratory/experiments/coins.py"
    file.write_text(file.read_text() + "\n# edited\n")
    assert listed(lab, "--only", "coins")[0]["code_changed"] is True
    assert "the code has changed since" in lab("evidence", "--only", "coins").out


def test_killed_it_goes_on_where_it_was_and_leaves_no_trial_behind(lab: Program) -> None:
    lab.environment["LAB_HANG"] = "throw/2"
    process = lab.start("evidence", "lab", "--rerun", "--only", "dice")
    deadline = time.monotonic() + 60
    while len(calls(lab)) < 2:
        assert time.monotonic() < deadline, process.stderr
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    trial = int(Path(lab.environment["LAB_CALLS"]).read_text().splitlines()[1].split()[1])
    while _alive(trial):
        assert time.monotonic() < deadline, "the trial at work goes on alone"
        time.sleep(0.02)
    del lab.environment["LAB_HANG"]
    done = lab("evidence", "lab", "--rerun", "--only", "dice", "--json")
    assert done.code == 0, done
    assert "dice: 2 of 3 trials to measure" in done.err
    assert calls(lab) == ["throw/1", "throw/2", "throw/2", "throw/3"]
    assert len(json.loads(done.out)) == 3, "progress is on stderr, and stdout is JSON alone"


def test_interrupted_it_ends_at_once_with_130(lab: Program) -> None:
    lab.environment["LAB_HANG"] = "throw/1"
    process = lab.start("evidence", "lab", "--rerun", "--only", "dice", "--jobs", "3")
    deadline = time.monotonic() + 60
    while len(calls(lab)) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    pids = [int(line.split()[1]) for line in Path(lab.environment["LAB_CALLS"]).read_text().splitlines()]
    assert not any(map(_alive, pids))


def test_a_failing_trial_is_a_failed_run(lab: Program) -> None:
    lab.environment["LAB_FAIL"] = "throw/2"
    done = lab("evidence", "lab", "--rerun", "--only", "dice", "--json")
    assert done.code == 1
    assert done.error["reason"] == "TRIAL_FAILED"
    assert "the cup broke at throw/2" in done.error["message"]
    assert ".log" in done.error["next_step"]


@pytest.mark.parametrize(
    ("args", "reason", "hint"),
    [
        (["labb"], "UNKNOWN_PHASE", "'lab'"),
        (["lab", "--only", "dcie"], "UNKNOWN_EXPERIMENT", "'dice'"),
        (["lab", "--rerun", "--only", "zzz"], "UNKNOWN_EXPERIMENT", "dice, coins"),
        (["bare", "--only", "dice"], "UNKNOWN_EXPERIMENT", "none yet"),
        (["lab", "--jobs", "0"], "USAGE", ""),
    ],
)
def test_a_wrong_name_is_bad_input(lab: Program, args: list[str], reason: str, hint: str) -> None:
    done = lab("evidence", *args, "--json")
    assert (done.code, done.out) == (2, "")
    assert done.error["reason"] == reason
    assert hint in done.error["next_step"]
    assert calls(lab) == []


def test_a_phase_without_experiments(lab: Program) -> None:
    assert listed(lab, "bare") == []
    assert "bare has no experiments yet" in lab("evidence", "bare").out


def test_every_recorded_row_of_ours_has_a_verdict(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    rows = listed(Program(tmp_path / "home", pipeline="agentforge.pipeline"))
    phases = ["cognate", "evomerge", "quietstar", "bitnet", "training", "baking", "adas", "compression"]
    assert {row["phase"] for row in rows} == set(phases)
    assert {row["verdict"] for row in rows} <= set(VERDICTS)
    for row in rows:
        assert list(row)[:8] == NAMES
        assert row["command"] == f"agentforge evidence {row['phase']} --rerun --only {row['experiment']}"
        assert (row["value"] is None) == (row["n"] == 0)


def test_the_page_is_what_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.tools import write_evidence

    monkeypatch.setattr("sys.argv", ["write_evidence", "--check"])
    assert write_evidence.main() == 0
    stale = tmp_path / "EVIDENCE.md"
    stale.write_text(write_evidence.PAGE.read_text().replace("reached", "almost reached", 1))
    monkeypatch.setattr(write_evidence, "PAGE", stale)
    assert write_evidence.main() == 1
    stale.unlink()
    assert write_evidence.main() == 1


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
