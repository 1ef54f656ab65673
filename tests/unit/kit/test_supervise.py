"""Supervision: restarts, limits, cancel, adoption, and several supervisors on one volume."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentforge.kit.events import read_events
from agentforge.kit.heartbeat import read_heartbeat
from agentforge.kit.processes import ProcessIdentity
from agentforge.kit.refs import ArtifactRef
from agentforge.kit.rundir import RunDirectory
from tests.unit.kit.workers import (
    PATIENCE_S,
    a_until,
    asked,
    child_of,
    end_workers,
    error,
    finish,
    reach_tests,
    some_text,
    states,
    summary,
    supervisor,
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


def within_patience(scenario: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(2 * PATIENCE_S):
            await scenario

    asyncio.run(limited())


def worker_of(run: RunDirectory) -> ProcessIdentity:
    beat = read_heartbeat(run.heartbeat_path)
    assert beat is not None
    return beat.worker


def digest(run: RunDirectory) -> str:
    done = run.done()
    assert done is not None, states(run)
    return done.outputs[0].sha256


async def counting(run: RunDirectory, attempt: int = 1) -> None:
    await a_until(lambda: summary(run).attempt >= attempt, f"attempt {attempt} runs")


def test_a_run_is_queued_before_start_returns_and_then_succeeds(home: Path) -> None:
    async def scenario() -> None:
        run = asked(home, "echo")
        boss = supervisor()
        await boss.start(run)
        assert states(run)[0] == "QUEUED"
        assert list(boss.active) == [run.path]
        await boss.start(run)  # once more changes nothing
        await boss.wait(run)
        assert not list(boss.active)
        await boss.start(run)  # neither does it when all is over
        await boss.close()
        assert states(run) == ["QUEUED", "RUNNING", "SUCCEEDED"]

    within_patience(scenario())


def test_a_killed_worker_is_started_again_and_the_digest_stays(home: Path, text: ArtifactRef) -> None:
    async def scenario() -> None:
        calm = asked(home, "count", "calm", text, n=60, every=2)
        run = asked(home, "count", "killed", text, n=60, every=2, step_s=0.03)
        chance = random.Random(11)
        boss = supervisor(max_deaths=100, backoff_s=0.0)
        await boss.start(run)
        for kill in range(1, 11):
            await a_until(lambda k=kill: summary(run).attempt >= k or run.done() is not None, "it runs")  # type: ignore[misc]
            await asyncio.sleep(chance.uniform(0, 0.2))
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker_of(run).pid, signal.SIGKILL)
        await boss.wait(run)
        assert states(run)[-1] == "SUCCEEDED"
        assert summary(run).attempt >= 8
        await boss.close()
        await finish(calm)
        assert digest(run) == digest(calm)

    within_patience(scenario())


@pytest.mark.parametrize(
    ("mode", "how", "tail"),
    [
        ("exit", "exit code 3", "these are my last words"),
        ("exit_zero", "exit code 0", "these are my last words"),
        ("segfault", "SIGSEGV", "Fatal Python error"),
    ],
)
def test_a_worker_that_always_dies_ends_failed_after_three(home: Path, mode: str, how: str, tail: str) -> None:
    run = asked(home, "fail", mode=mode)
    within_patience(finish(run))
    assert states(run) == ["QUEUED", "RUNNING", "QUEUED", "RUNNING", "QUEUED", "RUNNING", "FAILED"]
    failed = error(run)
    assert failed["reason"] == "WORKER_DIED"
    assert how in failed["message"]
    assert "3 times in a row" in failed["message"]
    assert tail in failed["message"]
    assert failed["next_step"]


def test_deaths_are_counted_over_the_death_of_services(home: Path) -> None:
    run = asked(home, "fail", mode="exit")
    for _ in range(3):  # the worker dies while nobody watches, as when a whole pod is killed
        start_worker(run).wait()
        within_patience(finish(run, max_deaths=1000, backoff_s=1000.0, close_after_s=0.1))
    within_patience(finish(run))
    assert states(run)[-1] == "FAILED"
    assert states(run).count("RUNNING") <= 4


def test_a_failed_run_is_reopened_by_retry_only(home: Path, text: ArtifactRef) -> None:
    async def scenario() -> None:
        run = asked(home, "count", "r1", text, n=400, every=5, step_s=0.01)
        boss = supervisor(max_deaths=1)
        await boss.start(run)
        await a_until(lambda: len(list(run.checkpoints_path.glob("step-*"))) > 0, "there is a checkpoint")
        os.kill(worker_of(run).pid, signal.SIGKILL)
        await boss.wait(run)
        assert states(run)[-1] == "FAILED"
        await boss.start(run)
        assert not list(boss.active)
        await boss.start(run, retry=True)
        await boss.wait(run)
        assert states(run) == ["QUEUED", "RUNNING", "FAILED", "QUEUED", "RUNNING", "SUCCEEDED"]
        assert any("goes on from step" in r["log"]["message"] for r in read_events(run.log_path)[0] if "log" in r)
        await boss.close()

    within_patience(scenario())


def test_a_cancelled_run_ends_cancelled_and_can_be_retried(home: Path, text: ArtifactRef) -> None:
    async def scenario() -> None:
        run = asked(home, "count", "r1", text, n=200, every=1000, step_s=0.01)
        boss = supervisor()
        await boss.start(run)
        await counting(run)
        await boss.cancel(run, "changed my mind")
        await boss.cancel(run, "a second time")
        await boss.wait(run)
        assert states(run) == ["QUEUED", "RUNNING", "CANCELLING", "CANCELLED"]
        assert summary(run).reason == "changed my mind"
        await boss.cancel(run, "it is over already")
        await boss.start(run, retry=True)
        await boss.wait(run)
        assert states(run)[-1] == "SUCCEEDED"
        await boss.close()

    within_patience(scenario())


def test_a_worker_that_ignores_cancel_is_killed_with_its_children(home: Path) -> None:
    async def scenario() -> None:
        run = asked(home, "fail", mode="stubborn")
        boss = supervisor(grace_s=0.5)
        await boss.start(run)
        await a_until(lambda: child_of(run) is not None, "it has a child")
        child, worker = ProcessIdentity.of(child_of(run) or 0), worker_of(run)
        await boss.cancel(run, "stop it")
        await boss.wait(run)
        assert states(run)[-1] == "CANCELLED"
        assert "did not stop within 0.5 s" in summary(run).reason
        assert not worker.is_alive
        await a_until(lambda: not child.is_alive, "the child is gone")
        await boss.close()

    within_patience(scenario())


def test_a_run_without_a_worker_is_cancelled_by_the_supervisor(home: Path) -> None:
    async def scenario() -> None:
        run = asked(home, "fail", mode="exit")
        boss = supervisor(backoff_s=1000.0)
        await boss.start(run)
        await a_until(lambda: states(run).count("QUEUED") == 2, "it waits for its restart")
        await boss.cancel(run, "enough")
        await boss.wait(run)
        assert states(run) == ["QUEUED", "RUNNING", "QUEUED", "CANCELLED"]
        await boss.close()

    within_patience(scenario())


def test_a_leak_ends_failed_with_both_numbers(home: Path) -> None:
    limit = 160 << 20
    run = asked(home, "leak")
    within_patience(finish(run, memory_limit_bytes=limit))
    failed = error(run)
    assert states(run) == ["QUEUED", "RUNNING", "FAILED"]  # no second try: it would end in the same way
    assert failed["reason"] == "WORKER_OUT_OF_MEMORY"
    assert "the limit is 160 MiB (167,772,160 bytes)" in failed["message"]
    used = int(failed["message"].partition(" MiB")[0].rpartition(" ")[2].replace(",", ""))
    assert used >= 160


def test_a_frozen_worker_is_killed_and_started_again(home: Path) -> None:
    run = asked(home, "fail", mode="freeze")
    within_patience(finish(run, hung_after_s=1.5, max_deaths=2))
    failed = error(run)
    assert failed["reason"] == "WORKER_HUNG"
    assert "no heartbeat for 1.5 s" in failed["message"]


def test_a_new_supervisor_adopts_the_live_worker(home: Path, text: ArtifactRef) -> None:
    async def scenario() -> None:
        run = asked(home, "count", "r1", text, n=100, every=5, step_s=0.02)
        first = supervisor()
        await first.start(run)
        await counting(run)
        worker = worker_of(run)
        await first.close()
        assert worker.is_alive
        second = supervisor()
        assert await second.adopt_all(home, "count") == 1
        await second.wait(run)
        assert states(run) == ["QUEUED", "RUNNING", "SUCCEEDED"]
        assert worker_of(run) == worker
        assert await second.adopt_all(home, "count") == 0
        await second.close()

    within_patience(scenario())


def test_a_run_whose_worker_died_without_a_service_goes_on(home: Path, text: ArtifactRef) -> None:
    run = asked(home, "count", "r1", text, n=50, every=2, step_s=0.01)
    worker = start_worker(run)
    until(lambda: summary(run).attempt == 1, "it runs")
    worker.kill()
    worker.wait()

    async def scenario() -> None:
        boss = supervisor()
        await boss.adopt_all(home, "count")
        await boss.wait(run)
        await boss.close()

    within_patience(scenario())
    assert states(run) == ["RUNNING", "QUEUED", "RUNNING", "SUCCEEDED"]
    assert "unseen" in str(read_events(run.log_path)[0])


def test_interrupted_workers_checkpoint_and_the_next_supervisor_goes_on(home: Path, text: ArtifactRef) -> None:
    async def scenario() -> None:
        run = asked(home, "count", "r1", text, n=60, every=1000, step_s=0.02)
        first = supervisor()
        await first.start(run)
        await a_until(lambda: summary(run).progress is not None, "it counts")
        await first.close(interrupt_workers=True)
        assert states(run) == ["QUEUED", "RUNNING", "QUEUED"]
        assert not run.is_locked()
        second = supervisor()
        await second.adopt_all(home, "count")
        await second.wait(run)
        assert states(run)[-1] == "SUCCEEDED"
        assert any("goes on from step" in r["log"]["message"] for r in read_events(run.log_path)[0] if "log" in r)
        await second.close()

    within_patience(scenario())


def test_a_worker_stopped_by_somebody_elses_sigterm_goes_on(home: Path, text: ArtifactRef) -> None:
    async def scenario() -> None:
        run = asked(home, "count", "r1", text, n=60, every=1000, step_s=0.02)
        boss = supervisor(max_deaths=1)
        await boss.start(run)
        await counting(run)
        os.kill(worker_of(run).pid, signal.SIGTERM)
        await boss.wait(run)
        assert states(run) == ["QUEUED", "RUNNING", "QUEUED", "RUNNING", "SUCCEEDED"]
        await boss.close()

    within_patience(scenario())


def test_two_supervisors_on_one_run_have_one_worker(home: Path, text: ArtifactRef) -> None:
    async def scenario() -> None:
        calm = asked(home, "count", "calm", text, n=40)
        run = asked(home, "count", "r1", text, n=40, every=2, step_s=0.03)
        both = [supervisor(max_deaths=100), supervisor(max_deaths=100)]
        await asyncio.gather(*(boss.start(run) for boss in both))
        for attempt in (1, 2, 3):
            await counting(run, attempt)
            os.kill(worker_of(run).pid, signal.SIGKILL)
        await asyncio.gather(*(boss.wait(run) for boss in both))
        await asyncio.gather(*(boss.close() for boss in both))
        # Every attempt was begun once, and no two of them were interleaved.
        assert states(run) == ["QUEUED"] + ["RUNNING", "QUEUED"] * 3 + ["RUNNING", "SUCCEEDED"]
        attempts = [r["attempt"] for r in read_events(run.log_path)[0]]
        assert attempts == sorted(attempts)
        await finish(calm)
        assert digest(run) == digest(calm)

    within_patience(scenario())


def test_many_runs_at_once(home: Path) -> None:
    runs = [asked(home, "echo", f"r{i}", text=f"text {i}") for i in range(6)]
    within_patience(finish(*runs))
    assert {states(run)[-1] for run in runs} == {"SUCCEEDED"}
    assert len({digest(run) for run in runs}) == 6


def test_killed_between_done_and_the_word_of_it_needs_no_worker(home: Path) -> None:
    run = asked(home, "echo")
    within_patience(finish(run))
    lines = run.log_path.read_bytes().splitlines(keepends=True)
    run.log_path.write_bytes(b"".join(lines[:-1]))
    within_patience(finish(run))
    assert states(run) == ["QUEUED", "RUNNING", "SUCCEEDED"]
    assert summary(run).attempt == 1


def test_a_full_disk_ends_failed_and_a_retry_succeeds_once_there_is_space(small_disk: Path) -> None:
    async def scenario() -> None:
        home = small_disk / "volume"
        given = asked(home, "echo")
        await finish(given)
        done = given.done()
        assert done is not None
        run = asked(home, "count", "r1", done.outputs[0], n=3, every=1, checkpoint_bytes=66_000)
        filler = small_disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(os.urandom(4096))
        await finish(run)
        assert error(run)["reason"] == "DISK_FULL", error(run)
        assert not run.output_path.exists() or not list(run.output_path.iterdir())
        filler.unlink()
        boss = supervisor()
        await boss.start(run, retry=True)
        await boss.wait(run)
        await boss.close()
        assert states(run)[-1] == "SUCCEEDED"

    within_patience(scenario())
