"""A step that hangs ends the process; systemd is told what it waits for."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agentforge.edge.device.runtime.watchdog import EXIT_HUNG, Watchdog

from .toy import DEVICE

HANG = """
import time
from runtime.watchdog import Watchdog
watchdog = Watchdog(0.05, 0.05)
watchdog.start()
with watchdog.step():
    time.sleep(30)
"""


def test_the_process_ends_when_a_step_does_not() -> None:
    done = subprocess.run(
        [sys.executable, "-B", "-c", HANG], cwd=DEVICE, capture_output=True, text=True, timeout=20
    )
    assert done.returncode == EXIT_HUNG
    assert "giving up" in done.stderr


def drained(wire: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            wire.recv(64)


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
        wire.bind(str(tmp_path / "notify"))
        wire.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "40000")
        changes: list[bool] = []
        gave_up = threading.Event()
        watchdog = Watchdog(0.2, 0.1, changes.append, gave_up.set)
        watchdog.start()
        assert [wire.recv(64), wire.recv(64)] == [b"READY=1", b"WATCHDOG=1"]
        with watchdog.step():
            while watchdog.is_healthy:
                time.sleep(0.01)
            wire.setblocking(False)
            drained(wire)
            time.sleep(0.1)
            with pytest.raises(BlockingIOError):  # no sign of life while it hangs
                wire.recv(64)
            assert gave_up.wait(5)
        assert changes == [False]
        wire.settimeout(5)
        watchdog.drain()
        assert wire.recv(64) == b"STOPPING=1"
        watchdog.stop()


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "absent"))
    watchdog = Watchdog(1, 1)
    watchdog.start()  # a warning in the log, and it serves
    watchdog.stop()
    assert watchdog.is_healthy
