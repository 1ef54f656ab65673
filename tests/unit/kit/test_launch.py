"""Launching, adopting and killing worker processes, and saying why they died."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentforge.kit import diagnosis
from agentforge.kit.diagnosis import ATTEMPT_LINE, Ending, kernel_oom_kills, log_tail
from agentforge.kit.heartbeat import read_heartbeat
from agentforge.kit.launch import LocalLauncher, LocalWorker
from agentforge.kit.processes import ProcessIdentity, group_rss_bytes, kill_group
from agentforge.kit.rundir import RunDirectory
from tests.unit.kit.workers import PATIENCE_S, a_until, asked, child_of, end_workers, reach_tests, states


@pytest.fixture(autouse=True)
def _reachable(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[None]:
    reach_tests(monkeypatch)
    yield
    end_workers(home)


async def launched(run: RunDirectory) -> LocalWorker:
    lock = run.try_lock()
    assert lock is not None
    worker = await LocalLauncher().launch(run, lock)
    os.close(lock)
    return worker


def test_the_worker_holds_the_lock_from_its_launch_to_its_end(home: Path) -> None:
    async def scenario() -> None:
        run = asked(home, "echo")
        worker = await launched(run)
        assert run.try_lock() is None
        assert await worker.ended(PATIENCE_S)
        ending = await worker.close()
        assert (ending.exit_code, ending.signal) == (0, None)
        assert not run.is_locked()
        assert states(run) == ["RUNNING", "SUCCEEDED"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("mode", "code", "number", "how"),
    [
        ("exit", 3, None, "ended with exit code 3"),
        ("segfault", None, signal.SIGSEGV, "was killed by SIGSEGV"),
    ],
)
def test_a_death_is_diagnosed(home: Path, mode: str, code: int | None, number: int | None, how: str) -> None:
    async def scenario() -> None:
        worker = await launched(asked(home, "fail", mode=mode))
        assert await worker.ended(PATIENCE_S)
        ending = await worker.close()
        assert (ending.exit_code, ending.signal, ending.how) == (code, number, how)
        tail = "these are my last words" if mode == "exit" else "Fatal Python error: Segmentation fault"
        assert tail in ending.log_tail
        assert ATTEMPT_LINE not in ending.log_tail
        assert not ending.out_of_memory

    asyncio.run(scenario())


def test_killing_takes_the_children_too(home: Path) -> None:
    async def scenario() -> None:
        run = asked(home, "fail", mode="stubborn")
        worker = await launched(run)
        await a_until(lambda: child_of(run) is not None, "it has a child")
        child = ProcessIdentity.of(child_of(run) or 0)
        worker.interrupt()
        assert not await worker.ended(0.3)
        worker.kill("for the test")
        assert await worker.ended(PATIENCE_S)
        assert (await worker.close()).how == "was killed: for the test"
        await a_until(lambda: not child.is_alive, "the child is gone")

    asyncio.run(scenario())


def test_children_of_a_dead_worker_are_cleared_away(home: Path) -> None:
    async def scenario() -> None:
        run = asked(home, "fail", mode="stubborn")
        worker = await launched(run)
        await a_until(lambda: child_of(run) is not None, "it has a child")
        child = ProcessIdentity.of(child_of(run) or 0)
        os.kill(worker.identity.pid, signal.SIGKILL)
        assert await worker.ended(PATIENCE_S)
        assert child.is_alive
        ending = await worker.close()
        assert ending.signal == signal.SIGKILL
        await a_until(lambda: not child.is_alive, "the child is gone")

    asyncio.run(scenario())


def test_adoption_finds_the_live_worker_and_clears_up_after_a_dead_one(home: Path) -> None:
    async def scenario() -> None:
        run = asked(home, "fail", mode="stubborn")
        first = await launched(run)
        await a_until(lambda: child_of(run) is not None, "it has a child")
        first.detach()
        child = ProcessIdentity.of(child_of(run) or 0)
        adopted = await LocalLauncher().adopt(run)
        assert adopted is not None
        assert adopted.identity == first.identity
        assert adopted.used_bytes() > 1 << 20
        adopted.detach()
        os.kill(first.identity.pid, signal.SIGKILL)
        await a_until(lambda: not first.identity.is_alive, "the worker is dead")
        assert child.is_alive
        assert await LocalLauncher().adopt(run) is None
        await a_until(lambda: not child.is_alive, "the child is gone")

    asyncio.run(scenario())


def test_a_stranger_with_the_same_number_is_spared() -> None:
    stranger = subprocess.Popen(
        ["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
    )
    try:
        assert stranger.stdin is not None
        assert stranger.stdout is not None
        stranger.stdin.write(b"\n")
        stranger.stdout.read(1)  # it runs: right after its start a process may have no memory yet
        real = ProcessIdentity.of(stranger.pid)
        earlier = dataclasses.replace(real, start_ticks=real.start_ticks - 1)
        elsewhere = dataclasses.replace(real, host="another-machine")
        for not_it in (earlier, elsewhere):
            assert not not_it.is_alive
            assert not_it.open() is None
            assert kill_group(not_it) == 0
        assert stranger.poll() is None
        assert group_rss_bytes(stranger.pid) > 0
    finally:
        stranger.kill()
        stranger.communicate()


def test_memory_of_the_whole_group_is_counted() -> None:
    code = (
        "import subprocess, sys, time\n"
        "c = subprocess.Popen([sys.executable, '-c', 'x = bytes(range(256)) * (1 << 18); print(1); input()'],"
        " stdin=subprocess.PIPE)\ninput()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-u", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert parent.stdout is not None
        parent.stdout.readline()
        assert group_rss_bytes(parent.pid) > 64 << 20
    finally:
        os.killpg(parent.pid, signal.SIGKILL)
        parent.communicate()


def test_the_kernels_counter_tells_an_oom_kill_from_another_kill() -> None:
    killed = Ending(signal=signal.SIGKILL, kernel_oom_kills=1, last_rss_bytes=300 << 20)
    error = killed.error("count", 1)
    assert error.reason == "WORKER_OUT_OF_MEMORY"
    assert "oom_kill counter +1" in error.message
    assert "300 MiB" in error.message
    assert Ending(signal=signal.SIGKILL).error("count", 3).reason == "WORKER_DIED"
    assert not dataclasses.replace(killed, killed_because="hung").out_of_memory


@pytest.mark.parametrize(
    ("line", "file", "text"),
    [
        ("0::/pod/me", "pod/me/memory.events", "low 0\noom 2\noom_kill 2\noom_group_kill 9\n"),
        ("0::/pod/me", "memory.events", "oom_kill 2\n"),
        ("4:memory:/pod/me", "memory/pod/me/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
    ],
)
def test_the_counter_is_read_in_both_versions_of_cgroups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, file: str, text: str
) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(text)
    (tmp_path / "own").write_text(line + "\n")
    monkeypatch.setattr(diagnosis, "_CGROUPS", tmp_path)
    monkeypatch.setattr(diagnosis, "_OWN_CGROUPS", tmp_path / "own")
    assert kernel_oom_kills() == 2


def test_the_tail_is_of_the_last_attempt_and_short(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    assert log_tail(log) == ""
    lines = "\n".join(f"line {i}" for i in range(100))
    log.write_text(f"{ATTEMPT_LINE} 1\nold words\n{ATTEMPT_LINE} 2\n{lines}\n")
    assert log_tail(log).splitlines()[-1] == "line 99"
    assert "old words" not in log_tail(log)
    log.write_text("x" * 100_000)
    assert len(log_tail(log)) <= 4000
    log.write_bytes(b"\xff\xfe half a character \xe2\x82")
    assert "half a character" in log_tail(log)


def test_an_unreadable_heartbeat_is_none(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat.json"
    assert read_heartbeat(path) is None
    path.write_text('{"beat": 1, "pi')
    assert read_heartbeat(path) is None
    path.write_text("{}")
    assert read_heartbeat(path) is None
