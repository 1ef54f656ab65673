"""A W&B that hangs, is killed, or is not there: the run does not notice."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.program import Program
from tests.unit.kit.disks import fill_disk

pytest.importorskip("wandb", reason="W&B's package is an extra: pip install 'agentforge[wandb]'")


class FakeHangingWandb:
    """A fake of W&B's server: it answers the first request, so that it looks alive, and then no other; or none."""

    def __init__(self, *, mute: bool = False) -> None:
        self._mute = mute
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.calls: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                call, _ = self._listener.accept()
            except OSError:
                return
            if not self.calls and not self._mute:
                call.recv(65536)
                call.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self.calls.append(call)

    def close(self) -> None:
        self._listener.close()
        for call in self.calls:
            call.close()


@pytest.fixture
def hanging() -> Iterator[FakeHangingWandb]:
    fake = FakeHangingWandb()
    yield fake
    fake.close()


def sinks(home: Path) -> list[int]:
    """Followers of this volume's runs that are alive."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line, told = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
            except OSError:
                continue
            if b"agentforge.track" in line and f"AGENTFORGE_HOME={home}".encode() in told:
                found.append(int(entry.name))
    return found


@pytest.mark.slow
def test_a_run_ends_while_w_and_b_hangs_and_is_told_later(forge: Program, hanging: FakeHangingWandb) -> None:
    forge.environment |= {"AGENTFORGE_WANDB": "online", "WANDB_BASE_URL": hanging.url, "WANDB_API_KEY": "k" * 40}
    done = forge("run", "--until", "count", "--set", "count.step_s=0.3", "--run-id", "r1", "--json")
    try:
        assert (done.code, done.last["state"]) == (0, "SUCCEEDED"), done
        deadline = time.monotonic() + 30
        while len(hanging.calls) < 2:
            assert time.monotonic() < deadline, (forge.home / "track/r1/wandb/sink.log").read_text()
            time.sleep(0.05)
        assert sinks(forge.home), "the sink does not hang: this shows nothing"
    finally:
        for pid in sinks(forge.home):
            os.kill(pid, signal.SIGKILL)
    later = {"AGENTFORGE_WANDB": "offline"}
    forge.environment |= later
    told = forge("track", "r1", "--json")
    assert told.code == 0, told
    log = forge.home / "runs/r1/pipeline/events.jsonl"
    assert told.last["last_sequence"] == len(log.read_text().splitlines())
    assert json.loads((forge.home / "track/r1/wandb/position.json").read_text())["unsafe"] == []


@pytest.mark.slow
def test_a_server_that_takes_every_call_and_answers_none_costs_a_run_nothing(forge: Program) -> None:
    """`--track online` by the option alone. What it would wait for is 5 s; the run takes less with it than that."""
    mute = FakeHangingWandb(mute=True)
    forge.environment |= {"WANDB_BASE_URL": mute.url, "WANDB_API_KEY": "k" * 40, "NETRC": "/none"}
    road = ("run", "--until", "count", "--no-reuse", "--json")
    seconds = {}
    try:
        for name, more in (("plain", ()), ("tracked", ("--track", "online"))):
            done = forge(*road, "--run-id", name, *more)
            assert (done.code, done.last["state"]) == (0, "SUCCEEDED"), done
            seconds[name] = done.last["seconds"]
        sink = forge.home / "track/tracked/wandb/sink.log"
        deadline = time.monotonic() + 30
        while "WANDB_UNREACHABLE" not in sink.read_text():
            assert time.monotonic() < deadline, sink.read_text()
            time.sleep(0.1)
    finally:
        mute.close()
    assert mute.calls, "nobody called: this shows nothing"
    assert not (forge.home / "track/plain").exists()
    assert seconds["tracked"] < seconds["plain"] + 4, seconds
    later = forge("track", "tracked", "--mode", "offline", "--json")
    assert later.code == 0, later
    log = forge.home / "runs/tracked/pipeline/events.jsonl"
    assert later.last["last_sequence"] == len(log.read_text().splitlines())


@pytest.mark.slow
def test_no_network_and_no_disk_for_it(forge: Program, small_disk: Path) -> None:
    (forge.home / "track").symlink_to(small_disk)
    fill_disk(small_disk)
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    forge.environment |= {"AGENTFORGE_WANDB": "online", "WANDB_BASE_URL": url, "WANDB_API_KEY": "k" * 40}
    done = forge("run", "--until", "echo", "--run-id", "r2", "--json")
    assert (done.code, done.last["state"]) == (0, "SUCCEEDED"), done
    told = forge("track", "r2", "--json")
    assert (told.code, told.error["reason"]) == (3, "WANDB_UNREACHABLE")
