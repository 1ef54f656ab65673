"""An attempt in a forked child: it can be killed at any time, and leaves nothing but files that nobody reads.

Forked, not spawned: the parent may have seconds of imports and a model in memory behind it, and the work may be a
closure over them. What that costs: locks of the parent's other threads stay shut in the child, so it must not touch
what they hold; libraries with threads of their own must not have had them running (torch: one thread); no GPU.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import psutil

from agentforge.kit.agents.failure import Failure, Kind, of_error
from agentforge.kit.diagnosis import signal_name

_PR_SET_PDEATHSIG = 1
_MOST_BYTES = 60_000  # of its last words: they must fit into the pipe, which nobody empties before the end
_MOST_CHARACTERS = 2000


@dataclass
class Child:
    pid: int
    pidfd: int  # readable when it has ended
    words: int  # the pipe's reading end
    ends: float  # time.monotonic of its deadline
    late: bool = False

    def kill(self) -> None:
        """With all that descends from it."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for each in psutil.Process(self.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
        signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def kill_if_late(self) -> None:
        if not self.late and time.monotonic() >= self.ends:
            self.late = True
            self.kill()

    def result(self) -> dict[str, Any] | Failure:
        """What the work gave, or how it ended. Waits for the end."""
        _, status = os.waitpid(self.pid, 0)
        os.close(self.pidfd)
        with os.fdopen(self.words, "rb") as pipe:
            said = pipe.read()
        code = os.waitstatus_to_exitcode(status)
        if self.late:
            return Failure(Kind.DEADLINE, "it was not done at its deadline, and was killed")
        if code < 0:
            return Failure(Kind.KILLED, f"its process was killed by {signal_name(-code)}")
        try:
            told: dict[str, Any] = json.loads(said)
        except ValueError:
            return Failure(Kind.ERROR, f"its process ended with exit code {code} and without a word")
        if code == 0:
            return told
        return Failure(Kind(told["kind"]), told["message"], told["reason"], told["next_step"], told["lasting"])


def start(work: Callable[[], dict[str, Any]], place: Path, *, deadline_s: float, memory_bytes: int) -> Child:
    """`work` gives plain JSON. `place` is the run's directory, which is cut out of errors."""
    reading, writing = os.pipe()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # or the child says it once more
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            _settle(parent, memory_bytes)
            _do(work, place, writing)
        finally:
            os._exit(70)
    os.close(writing)
    return Child(pid, os.pidfd_open(pid), reading, time.monotonic() + deadline_s)


def _settle(parent: int, memory_bytes: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        os._exit(70)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the parent, which ends us
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)  # threads do not live through a fork
    limit = _data_bytes() + memory_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _data_bytes() -> int:
    """Private memory that could be written, as RLIMIT_DATA counts it: what was inherited is free."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmData:")[2].split()[0]) << 10


def _do(work: Callable[[], dict[str, Any]], place: Path, writing: int) -> NoReturn:
    try:
        told, code = work(), 0
        said = json.dumps(told).encode()
        if len(said) > _MOST_BYTES:
            raise ValueError(f"facts and measurements take {len(said):,} bytes; at most {_MOST_BYTES:,} are taken")
    except Exception as error:
        resource.setrlimit(resource.RLIMIT_DATA, (resource.getrlimit(resource.RLIMIT_DATA)[1],) * 2)
        failure, code = of_error(error, str(place)), 1
        words = {"next_step": failure.next_step[:_MOST_CHARACTERS], "lasting": failure.lasting}
        said = json.dumps({**failure.plain(), "message": failure.message[:_MOST_CHARACTERS], **words}).encode()
        if failure.reason == "PHASE_CRASHED":  # not an error that explains itself
            traceback.print_exc()
    os.write(writing, said)
    sys.stderr.flush()
    os._exit(code)
