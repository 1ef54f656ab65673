"""The ranks of one run on this machine: the worker, which leads, starts the others and watches them.

They speak torchrun's language (RANK, WORLD_SIZE, ...), so torchrun can start them all instead. It is not used here:
it puts every rank into a session of its own, where neither our killing nor our counting of memory reaches.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from agentforge.kit import ranks
from agentforge.kit.diagnosis import EXIT_RANK_LOST, signal_name
from agentforge.kit.errors import ForgeError, InvalidInput
from agentforge.kit.ranks import RANK_LOST, Ranks
from agentforge.kit.rundir import RunDirectory

MEETING_VARIABLE = "AGENTFORGE_MEETING"
"""Environment of a rank that a worker started: the file by which it meets the others."""
LEADER_VARIABLE = "AGENTFORGE_LEADER"
"""And the worker's process number."""
_LAST_WORDS_S = 5.0  # for the leader to fail by itself, with an error that says more, once another rank is lost
_NOTICED_S = 2.0  # at most between a broken connection and the sight of the process that broke it
_PR_SET_PDEATHSIG = 1


class Team:
    """Inside the block all ranks are joined. `say` is for worker.log."""

    def __init__(self, run: RunDirectory, processes: int, say: Callable[[str], None]) -> None:
        self._run, self._say = run, say
        self._started_by_torchrun = ranks.of_environment()
        self._processes = processes
        self._others: dict[int, subprocess.Popen[bytes]] = {}
        self._lost_at: float | None = None
        self._telling = threading.Lock()

    def __enter__(self) -> Self:
        found = self._started_by_torchrun
        check_size(found, self._processes)
        if found.world > 1:
            ranks.join(found)
        elif self._processes > 1:
            self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What the others still compute, nobody will see."""
        if kind is None or not is_loss(error):
            self._end()

    def watch(self) -> None:
        """Several times a second, on another thread: this one may wait for a lost rank for ever."""
        lost = self._lost()
        if lost is None:
            return
        with self._telling:
            if self._lost_at is None:
                self._lost_at = time.monotonic()
            if time.monotonic() - self._lost_at > _LAST_WORDS_S:
                self._say(f"{lost}; the worker ends, too\n")
                os._exit(EXIT_RANK_LOST)

    def explains(self, error: BaseException) -> bool:
        """Whether the error is nothing but the echo of another rank's end, which is said then."""
        if not self._others or not is_loss(error):
            return False
        deadline = time.monotonic() + _NOTICED_S
        while (lost := self._lost()) is None and time.monotonic() < deadline:
            time.sleep(0.01)
        self._end()
        if lost is not None:
            self._say(f"{lost}; the worker ends, too\n")
        return lost is not None

    def _start(self) -> None:
        meeting = self._run.scratch_path / ".meeting"
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # nobody outside this machine has a part in it
        for rank in range(1, self._processes):
            place = {"RANK": rank, "WORLD_SIZE": self._processes, "LOCAL_RANK": rank}
            place |= {"LOCAL_WORLD_SIZE": self._processes, LEADER_VARIABLE: os.getpid()}
            told = {name: str(value) for name, value in place.items()} | {MEETING_VARIABLE: str(meeting)}
            command = [sys.executable, "-P", "-m", "agentforge.kit.worker", str(self._run.path)]
            # In our process group: whoever kills it, or counts its memory, means them, too.
            self._others[rank] = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=os.environ | told)
        ranks.join(Ranks(0, self._processes, 0, self._processes), meeting)

    def _lost(self) -> str | None:
        """Which rank has ended, and how. Those that worked to the end are not lost."""
        for rank, process in list(self._others.items()):  # the other thread may be adding to it
            code = process.poll()
            if code:
                how = f"was killed by {signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
                return f"rank {rank} of {self._processes} {how}"
        return None

    def _end(self) -> None:
        others, self._others = self._others, {}
        for process in others.values():
            process.kill()
        for process in others.values():
            process.wait()


def check_size(found: Ranks, processes: int) -> None:
    """The config says how many there are: the result's last bits depend on it."""
    if found.world > 1 and found.world != processes:
        message = f"torchrun started {found.world} processes, the run was asked for with {processes}"
        step = f"Ask for a run with processes={found.world}, or give torchrun --nproc-per-node {processes}."
        raise InvalidInput(message, reason="WRONG_WORLD_SIZE", field="processes", next_step=step)


def die_with_leader() -> None:
    """Where a worker started us, we must not outlive it: its LOCK is free then, and another takes the run up."""
    leader = os.environ.get(LEADER_VARIABLE)
    if leader is not None:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(leader):  # it died before we asked
            os._exit(EXIT_RANK_LOST)


def join_as_follower(own: Ranks) -> None:
    meeting = os.environ.get(MEETING_VARIABLE)
    ranks.join(own, None if meeting is None else Path(meeting))


def is_loss(error: BaseException | None) -> bool:
    return isinstance(error, ForgeError) and error.reason == RANK_LOST
