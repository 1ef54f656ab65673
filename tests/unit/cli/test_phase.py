import json
import os
import signal
from pathlib import Path

import pytest

from tests.unit.cli.program import Program, interrupt, wait_for_log

KEYS = {"run_id", "state", "seconds", "outputs", "measurements", "error"}


def test_the_last_line_of_json_is_the_result(forge: Program, tmp_path: Path) -> None:
    done = forge("phase", "echo", "--set", "text=hi", "--set", "repeat=2", "--run-id", "a", "--json")
    assert done.code == 0, done
    assert set(done.last) == KEYS
    assert (done.last["run_id"], done.last["state"], done.last["error"]) == ("a", "SUCCEEDED", None)
    (output,) = done.last["outputs"]
    assert set(output) == {"name", "kind", "path", "sha256"}
    assert Path(output["path"], "text.txt").read_text() == "hihi"
    (measured,) = done.last["measurements"]
    assert set(measured) == {"name", "value", "unit", "method", "n", "spread"}
    assert (measured["name"], measured["value"], measured["spread"]) == ("echo/characters", 4, None)
    events = [json.loads(line) for line in done.out.splitlines()[:-1]]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))


def test_outputs_go_where_they_are_wanted_and_become_inputs(forge: Program, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = forge("phase", "echo", "--set", "text=seed", "--out", out, "--json")
    assert done.last["outputs"][0]["path"] == str(out / "text")
    assert (out / "text" / "text.txt").read_text() == "seed"
    again = forge("phase", "echo", "--input", out / "text", "--set", "repeat=2", "--json")
    assert Path(again.last["outputs"][0]["path"], "text.txt").read_text() == "seedseed"
    chained = forge("phase", "count", "--input", again.last["outputs"][0]["path"], "--json")
    assert chained.code == 0, chained


def test_a_full_out_directory_is_refused_before_anything_runs(forge: Program, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("keep")
    refused = forge("phase", "echo", "--out", tmp_path / "out", "--run-id", "a")
    assert refused.code == 2
    assert "not empty" in refused.err
    assert "next:" in refused.err
    assert not (forge.home / "runs").exists()


@pytest.mark.parametrize(
    ("args", "reason", "hint"),
    [
        (["phase", "ecoh"], "UNKNOWN_PHASE", "'echo'"),
        (["phase", "echo", "--set", "txet=1"], "UNKNOWN_FIELD", "'text'"),
        (["phase", "echo", "--set", "repeat=0"], "INVALID_VALUE", ""),
        (["phase", "echo", "--set", "repeat=.nan"], "NOT_FINITE", ""),
        (["phase", "echo", "--preset", "tiyn"], "UNKNOWN_PRESET", "'tiny'"),
        (["phase", "echo", "--run-id", "../a"], "INVALID_NAME", "letters"),
        (["phase", "echo", "--run-id", "a" * 10_000], "INVALID_NAME", "letters"),
        (["phase", "echo", "--input", "/no/such"], "ARTIFACT_NOT_FOUND", "path"),
        (["phase", "count"], "MISSING_ARTIFACT", "text"),
        (["phase", "echo", "--st", "a=1"], "USAGE", "--help"),
        (["rnus"], "USAGE", "--help"),
        (["run", "--preset", "tiyn"], "UNKNOWN_PRESET", "'tiny'"),
        (["run", "--set", "ecoh.text=1"], "UNKNOWN_PHASE", "'echo'"),
        (["run", "--set", "text=1"], "BAD_SETTING", "PHASE"),
        (["run", "--until", "cuont"], "UNKNOWN_PHASE", "'count'"),
        (["show", "nobody"], "UNKNOWN_RUN", ""),
        (["show", "nobody", "--phase", "echo"], "UNKNOWN_RUN", ""),
        (["runs", "--target", "localhost:1"], "MISSING_PHASE", "--phase"),
    ],
)
def test_bad_input_ends_with_2_and_a_way_out(forge: Program, args: list[str], reason: str, hint: str) -> None:
    refused = forge(*args, "--json")
    assert refused.code == 2, refused
    assert refused.error["reason"] == reason
    assert hint in refused.error["message"] + refused.error["next_step"]
    assert not (forge.home / "runs").exists()


def test_a_refused_phase_still_ends_with_a_result_line(forge: Program) -> None:
    refused = forge("phase", "echo", "--set", "repeat=0", "--json")
    assert set(refused.last) == KEYS
    assert refused.last["state"] is None
    assert refused.last["error"]["field"] == "repeat"


def test_a_failed_run_ends_with_1_and_says_why(forge: Program) -> None:
    failed = forge("phase", "fail", "--json")
    assert failed.code == 1
    assert failed.last["state"] == "FAILED"
    assert failed.last["error"]["reason"] == "TOO_SMALL"
    told = forge("phase", "fail")
    assert "error: the tensor is too small" in told.err
    assert "where: layer.0" in told.err
    assert "next:  Grow it." in told.err


def test_a_target_that_does_not_answer_ends_with_3(forge: Program) -> None:
    for args in (["phase", "echo", "--target", "127.0.0.1:1"], ["runs", "--gateway", "127.0.0.1:1"]):
        refused = forge(*args)
        assert refused.code == 3, refused
        assert "next:" in refused.err


def test_a_remote_service_gets_no_files_from_outside(forge: Program, tmp_path: Path) -> None:
    (tmp_path / "words").write_text("w")
    server = forge.start("serve", "echo", "--listen", "127.0.0.1:0")
    assert server.stdout is not None
    target = server.stdout.readline().split()[1]
    refused = forge("phase", "echo", "--target", target, "--input", tmp_path / "words", "--json")
    assert (refused.code, refused.error["reason"]) == (2, "PATH_OUTSIDE_VOLUME")
    (forge.home / "words").write_text("inside")
    done = forge("phase", "echo", "--target", target, "--input", forge.home / "words", "--json")
    assert Path(done.last["outputs"][0]["path"], "text.txt").read_text() == "inside"
    server.terminate()
    assert server.wait(60) == 0


def test_ctrl_c_cancels_and_resume_goes_on(forge: Program, tmp_path: Path) -> None:
    (tmp_path / "words").write_text("w")
    slow = ["phase", "count", "--input", tmp_path / "words", "--set", "n=40", "--set", "every=5"]
    reference = forge(*slow, "--json")
    process = forge.start(*slow, "--set", "step_s=0.1", "--run-id", "a", "--json")
    wait_for_log(forge.home / "runs/a/count/events.jsonl", '"done":3')
    interrupt(process)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert json.loads(out.splitlines()[-1])["state"] == "CANCELLED"
    assert "Traceback" not in err
    resumed = forge("resume", "a", "--phase", "count", "--json")
    assert resumed.code == 0, resumed
    assert "goes on from step" in resumed.out
    assert resumed.last["outputs"][0]["sha256"] == reference.last["outputs"][0]["sha256"]


def test_a_second_ctrl_c_leaves_at_once(forge: Program) -> None:
    process = forge.start("phase", "fail", "--set", "mode=stubborn", "--run-id", "a")
    log = forge.home / "runs/a/fail/events.jsonl"
    wait_for_log(log, "fail/child")
    interrupt(process)
    wait_for_log(log, "CANCELLING")
    interrupt(process)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in out + err
    beat = json.loads((log.parent / "heartbeat.json").read_text())
    os.killpg(beat["pgid"], signal.SIGKILL)  # nobody is left to see to it


def test_a_dry_run_starts_nothing(forge: Program) -> None:
    planned = forge("phase", "echo", "--set", "repeat=3", "--dry-run", "--json")
    assert planned.code == 0
    (phase,) = planned.last["plan"]
    assert phase["config"]["repeat"] == 3
    assert planned.last["machine"]["disk_free_bytes"] > 0
    assert "measurements" not in planned.out
    assert not (forge.home / "runs").exists()
    assert forge("phase", "echo", "--set", "repeat=0", "--dry-run").code == 2
