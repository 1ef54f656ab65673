"""The worker process: every way to end, and going on after any of them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentforge.kit.diagnosis import EXIT_FINAL, EXIT_INTERRUPTED, EXIT_LOCK_HELD
from agentforge.kit.events import read_events
from agentforge.kit.files import remove_tree
from agentforge.kit.heartbeat import read_heartbeat
from agentforge.kit.refs import ArtifactRef
from agentforge.kit.rundir import RunDirectory
from tests.unit.kit.workers import (
    PATIENCE_S,
    asked,
    end_workers,
    error,
    reach_tests,
    run_worker,
    some_text,
    states,
    summary,
    until,
)
from tests.workers import start_worker


@pytest.fixture(autouse=True)
def _reachable(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[None]:
    reach_tests(monkeypatch)
    yield
    end_workers(home)


@pytest.fixture
def text(home: Path) -> ArtifactRef:
    home.mkdir()
    return some_text(home)


def digest(run: RunDirectory) -> str:
    done = run.done()
    assert done is not None
    return done.outputs[0].sha256


def test_success_publishes_outputs_measurements_and_parents(home: Path, text: ArtifactRef) -> None:
    run = asked(home, "count", "r1", text, n=10)
    assert run_worker(run) == EXIT_FINAL
    assert states(run) == ["RUNNING", "SUCCEEDED"]
    done = run.done()
    assert done is not None
    assert [(ref.name, ref.kind) for ref in done.outputs] == [("text", "text")]
    assert done.parents == (text,)
    assert [m["name"] for m in done.measurements] == ["count/steps"]
    assert summary(run).progress == {"done": 10, "total": 10, "unit": "numbers", "message": ""}
    assert not run.scratch_path.exists()
    assert not run.work_path.exists()


def test_progress_is_thinned_out_but_its_end_is_not_lost(home: Path, text: ArtifactRef) -> None:
    run = asked(home, "count", "r1", text, n=20_000, every=20_000)
    started = time.monotonic()
    run_worker(run)
    reports = [r["progress"] for r in read_events(run.log_path)[0] if "progress" in r]
    assert reports[-1]["done"] == 20_000
    assert len(reports) <= 2 + (time.monotonic() - started) / 0.1


def test_a_worker_that_is_killed_again_and_again_gives_the_same_digest(home: Path, text: ArtifactRef) -> None:
    calm = asked(home, "count", "calm", text, n=60, every=3)
    run_worker(calm)
    run = asked(home, "count", "killed", text, n=60, every=3, step_s=0.02)
    chance = random.Random(7)
    kills = 0
    while run.done() is None:
        worker = start_worker(run)
        if kills < 12:
            # Some die while they start, most between two checkpoints or in the middle of one.
            beginning = summary(run).attempt
            if chance.random() < 0.8:
                until(lambda before=beginning: summary(run).attempt > before, "the worker runs")  # type: ignore[misc]
            time.sleep(chance.uniform(0, 0.15))
            worker.kill()
            kills += 1
        worker.wait()
    assert kills >= 10
    assert digest(run) == digest(calm)
    assert states(run)[-1] == "SUCCEEDED"
    assert [r["sequence"] for r in read_events(run.log_path)[0]] == list(range(1, summary(run).last_sequence + 1))


def test_killed_between_done_and_the_word_of_it(home: Path, text: ArtifactRef) -> None:
    run = asked(home, "count", "r1", text, n=3)
    run_worker(run)
    lines = run.log_path.read_bytes().splitlines(keepends=True)
    assert b"SUCCEEDED" in lines[-1]
    run.log_path.write_bytes(b"".join(lines[:-1]) + lines[-1][:20])  # torn as well
    before = digest(run)
    assert run_worker(run) == EXIT_FINAL
    assert states(run) == ["RUNNING", "SUCCEEDED"]
    assert digest(run) == before


def test_killed_after_publishing_makes_nothing_twice(home: Path, text: ArtifactRef) -> None:
    run = asked(home, "count", "r1", text, n=3)
    run_worker(run)
    before = digest(run)
    lines = run.log_path.read_bytes().splitlines(keepends=True)
    run.log_path.write_bytes(b"".join(lines[:-1]))
    run.done_path.unlink()
    (run.output_path / ".partial-text").mkdir()
    assert run_worker(run) == EXIT_FINAL
    assert digest(run) == before
    assert [p.name for p in run.output_path.iterdir()] == ["text"]
    assert summary(run).attempt == 2


def test_sigterm_interrupts_after_a_checkpoint_and_the_run_goes_on(home: Path, text: ArtifactRef) -> None:
    run = asked(home, "count", "r1", text, n=50, every=1000, step_s=0.02)
    worker = start_worker(run)
    until(lambda: (summary(run).progress or {"done": 0})["done"] > 2, "it counts")
    worker.terminate()
    assert worker.wait(PATIENCE_S) == EXIT_INTERRUPTED
    assert states(run) == ["RUNNING", "QUEUED"]
    stopped_at = (summary(run).progress or {})["done"]
    assert run_worker(run) == EXIT_FINAL
    logs = [r["log"]["message"] for r in read_events(run.log_path)[0] if "log" in r]
    assert f"goes on from step {stopped_at}" in logs
    calm = asked(home, "count", "calm", text, n=50)
    run_worker(calm)
    assert digest(run) == digest(calm)


def test_cancel_writes_a_checkpoint_and_ends_cancelled(home: Path, text: ArtifactRef) -> None:
    run = asked(home, "count", "r1", text, n=10_000, every=10_000, step_s=0.01)
    worker = start_worker(run)
    until(lambda: summary(run).progress is not None, "it counts")
    run.request_cancel("enough")
    assert worker.wait(PATIENCE_S) == EXIT_FINAL
    assert states(run) == ["RUNNING", "CANCELLING", "CANCELLED"]
    assert summary(run).reason == "enough"
    assert len(list(run.checkpoints_path.glob("step-*"))) == 1
    assert not run.output_path.exists() or not list(run.output_path.iterdir())


def test_a_run_cancelled_before_it_began_does_not_begin(home: Path) -> None:
    run = asked(home, "echo")
    run.request_cancel("never mind")
    assert run_worker(run) == EXIT_FINAL
    assert states(run) == ["RUNNING", "CANCELLING", "CANCELLED"]
    assert not run.output_path.exists()


@pytest.mark.parametrize(
    ("mode", "reason", "text"),
    [
        ("error", "TOO_SMALL", "the tensor is too small"),
        ("crash", "PHASE_CRASHED", "ValueError: three is not a number that I know (fail.py:"),
        ("nan", "PHASE_CRASHED", "fail/loss is nan"),
        ("no_output", "WRONG_OUTPUTS", "text: 0 of kind 'text' given, at least 1 needed"),
    ],
)
def test_failures_say_what_happened(home: Path, mode: str, reason: str, text: str) -> None:
    run = asked(home, "fail", mode=mode)
    assert run_worker(run) == EXIT_FINAL
    assert states(run) == ["RUNNING", "FAILED"]
    assert error(run)["reason"] == reason
    assert text in error(run)["message"]
    assert "Traceback" not in json.dumps(error(run))
    assert run.done() is None


def test_a_forge_error_keeps_its_details_and_a_crash_its_traceback(home: Path) -> None:
    run = asked(home, "fail", "r1", mode="error")
    run_worker(run)
    assert error(run) == {
        "reason": "TOO_SMALL",
        "message": "the tensor is too small",
        "field": "layer.0",
        "next_step": "Grow it.",
    }
    crash = asked(home, "fail", "r2", mode="crash")
    run_worker(crash)
    assert "Traceback" in crash.worker_log_path.read_text()


def test_altered_missing_and_wrong_inputs_fail_before_the_phase_runs(home: Path, text: ArtifactRef) -> None:
    missing = asked(home, "count", "missing")
    run_worker(missing)
    assert error(missing)["reason"] == "MISSING_ARTIFACT"
    altered = asked(home, "count", "altered", text)
    (home / text.path / "text.txt").chmod(0o644)
    (home / text.path / "text.txt").write_text("something else")
    run_worker(altered)
    assert "text.txt" in error(altered)["message"]
    gone = asked(home, "count", "gone", text)
    remove_tree(home / text.path)
    run_worker(gone)
    assert states(gone) == ["RUNNING", "FAILED"]


def test_a_second_worker_of_the_same_run_leaves_at_once(home: Path, text: ArtifactRef) -> None:
    run = asked(home, "count", "r1", text, n=1000, step_s=0.01)
    first = start_worker(run)
    until(lambda: summary(run).attempt == 1, "the first runs")
    assert run_worker(run) == EXIT_LOCK_HELD
    assert states(run) == ["RUNNING"]
    first.kill()
    first.wait()


def test_the_heartbeat_names_the_worker_and_rises(home: Path, text: ArtifactRef) -> None:
    run = asked(home, "count", "r1", text, n=1000, step_s=0.01)
    worker = start_worker(run)
    until(lambda: summary(run).attempt == 1, "it runs")
    beat = read_heartbeat(run.heartbeat_path)
    assert beat is not None
    assert (beat.worker.pid, beat.worker.pgid) == (worker.pid, worker.pid)
    assert beat.worker.is_alive
    until(lambda: (b := read_heartbeat(run.heartbeat_path)) is not None and b.beat >= 2, "it beats again")
    worker.kill()
    worker.wait()
    assert not beat.worker.is_alive


def test_a_full_disk_fails_the_run_and_leaves_nothing_half_written(small_disk: Path) -> None:
    home = small_disk / "volume"
    run = asked(home, "leak", "small", most_bytes=0)  # its text is the other run's input
    assert run_worker(run) == EXIT_FINAL
    done = run.done()
    assert done is not None
    big = asked(home, "count", "big", done.outputs[0], n=3, output_bytes=1 << 20)
    assert run_worker(big) == EXIT_FINAL
    assert states(big)[-1] == "FAILED"
    assert error(big)["reason"] == "DISK_FULL"
    assert not list(big.output_path.iterdir())
    checkpoints = asked(home, "count", "checkpoints", done.outputs[0], n=20, checkpoint_bytes=200_000)
    assert run_worker(checkpoints) == EXIT_FINAL
    assert error(checkpoints)["reason"] == "DISK_FULL"


def test_a_worker_starts_without_torch(home: Path) -> None:
    code = "import sys, agentforge.kit.worker; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_usage(home: Path) -> None:
    command = [sys.executable, "-m", "agentforge.kit.worker"]
    assert subprocess.run(command, stderr=subprocess.PIPE).returncode == 2


def test_a_worker_in_a_group_of_others_is_killed_alone(home: Path, text: ArtifactRef) -> None:
    from agentforge.kit.processes import ProcessIdentity, kill_group

    bystander = subprocess.Popen(["sleep", "60"], process_group=0)
    member = subprocess.Popen(["sleep", "60"], process_group=bystander.pid)
    assert kill_group(ProcessIdentity.of(member.pid)) == 1
    assert member.wait(10) == -signal.SIGKILL
    assert bystander.poll() is None
    os.killpg(bystander.pid, signal.SIGKILL)
    bystander.wait()
