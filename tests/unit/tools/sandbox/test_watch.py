"""The side that does not trust, with processes that no sandbox has tamed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentforge.kit.errors import MissingTool
from agentforge.tools.sandbox import Limits, Outcome, run_python
from agentforge.tools.sandbox.launch import CHILD, Watch, end

LIMITS = Limits(seconds=0.3, output=1000)
READY = "import os, sys, time, signal\nos.write(2, b'ready none\\n')\n"


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        assert process.returncode is not None
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        process.stderr.close()


def _outcome(started: list[subprocess.Popen[bytes]], code: str) -> Outcome:
    started.append(
        subprocess.Popen(
            [sys.executable, "-S", "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    )
    return Watch(started[-1], LIMITS).outcome()


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("os.write(2, b'done '); os._exit(0)", None),
        ("os.write(2, b'done '); os._exit(1)", "died"),
        ("os.write(2, b'done '); os.kill(os.getpid(), 9)", "died"),
        ("os._exit(0)", "died"),
        ("os.close(1); time.sleep(60)", "time"),
        ("os.close(1); os.close(2); time.sleep(60)", "time"),
        ("os.close(2); os.write(1, b'x' * 99)", "died"),
        ("signal.signal(15, signal.SIG_IGN); signal.signal(2, signal.SIG_IGN); time.sleep(60)", "time"),
        ("while True: os.write(1, b'x' * 9999)", "output"),
        ("while True: os.write(2, b'x' * 9999)", "output"),
        ("os.fork(); os.fork(); time.sleep(60)", "time"),
        ("os.fork() or time.sleep(60); os.write(2, b'done ')", "time"),
        ("os.kill(os.getpid(), 19)", "time"),
        ("os.write(2, bytes(range(128, 256)))", "died"),
        ("os.write(2, b'refused ' + bytes(range(128, 256)))", "refused"),
        ("os.write(2, b'ready again\\ndone '); os._exit(0)", "died"),
    ],
)  # fmt: skip
def test_whatever_it_does(started: list[subprocess.Popen[bytes]], code: str, failure: str | None) -> None:
    outcome = _outcome(started, READY + code)
    assert outcome.failure == failure, outcome
    assert len(outcome.text) <= LIMITS.output
    assert outcome.seconds < LIMITS.seconds + 5
    assert _until(lambda: not _alive(started[-1].pid))  # the whole group


@pytest.mark.parametrize(
    "code",
    [
        "pass",
        "import os; os.write(1, b'x' * 9999)",
        "import os; os.write(2, b'x' * 9999)",
        "raise OSError('seccomp')",
    ],
)
def test_what_was_not_locked_in_is_an_error_of_the_machine(
    started: list[subprocess.Popen[bytes]], code: str
) -> None:
    with pytest.raises(MissingTool, match="could not be locked in"):
        _outcome(started, code)


def test_ending_twice_is_ending(started: list[subprocess.Popen[bytes]]) -> None:
    outcome = _outcome(started, READY + "time.sleep(60)")
    assert outcome.failure == "time"
    end(started[-1])


def test_a_killed_launcher_leaves_nothing_behind() -> None:
    imports = "from agentforge.tools.sandbox import run_python, Limits"
    code = f"{imports}\nrun_python('while True: pass', Limits(seconds=60, cpu_seconds=60))"
    launcher = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": "services"})
    mark = f"\0{CHILD}\0{launcher.pid}\0".encode()
    assert _until(lambda: len(_with(mark)) > 0)
    time.sleep(0.1)  # locked in, and in its loop
    launcher.send_signal(signal.SIGKILL)
    launcher.wait()
    assert _until(lambda: not _with(mark))


def test_a_caller_who_ignores_its_children_gets_no_made_up_success() -> None:
    kept = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        outcome = run_python("print(1)")
    finally:
        signal.signal(signal.SIGCHLD, kept)
    assert (outcome.text, outcome.failure) == ("1\n", "died")


def test_no_descriptors_are_lost() -> None:
    before = len([*Path("/proc/self/fd").iterdir()])
    for code in ("1", "1 / 0", "import ctypes\nctypes.string_at(0)", "while True: print(1)", "\ud800"):
        run_python(code, LIMITS)
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _with(mark: bytes) -> list[Path]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark in path.read_bytes():
                found.append(path)
        except OSError:
            continue
    return found


def _until(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
