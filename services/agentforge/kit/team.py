"""The ranks of one run: the worker, which leads, starts the others of this machine and watches them.

They speak torchrun's language (RANK, WORLD_SIZE, ...), so torchrun can start them all instead. It is not used here:
it puts every rank into a session of its own, where neither our killing nor our counting of memory reaches.
Those of other machines are started there, by `agentforge join` (kit.joining) or by torchrun.
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

from agentforge.kit import elastic, machines, ranks
from agentforge.kit.beats import Beats
from agentforge.kit.diagnosis import EXIT_RANK_LOST, signal_name
from agentforge.kit.errors import ForgeError, InvalidInput
from agentforge.kit.machines import Machines, Told
from agentforge.kit.ranks import RANK_LOST, Ranks
from agentforge.kit.rundir import RunDirectory
from agentforge.kit.stopping import RunStopped, StopRequest

MEETING_VARIABLE = "AGENTFORGE_MEETING"
"""Environment of a rank that torchrun did not start: where it meets the others, a file or tcp://HOST:PORT/ATTEMPT."""
LEADER_VARIABLE = "AGENTFORGE_LEADER"
"""And the number of the process that started it."""
_TCP = "tcp://"
_LAST_WORDS_S = 5.0  # for the leader to fail by itself, with an error that says more, once another rank is lost
_NOTICED_S = 2.0  # at most between a broken connection and the sight of the process that broke it
_PR_SET_PDEATHSIG = 1


class Team:
    """Inside the block all ranks are joined. `say` is for worker.log, `told` for those who come from elsewhere."""

    def __init__(
        self, run: RunDirectory, processes: int, say: Callable[[str], None], stop: StopRequest, told: Told
    ) -> None:
        self._run, self._say, self._stop, self._told = run, say, stop, told
        self._started_by_torchrun = ranks.of_environment()
        self._processes = processes
        self._others: dict[int, subprocess.Popen[bytes]] = {}
        self._beats: Beats | None = None
        self._lost_at: float | None = None
        self._telling = threading.Lock()

    def __enter__(self) -> Self:
        found, elsewhere = self._started_by_torchrun, Machines.of_environment()
        check_size(found, self._processes)
        try:
            if found.world > 1:
                self._beats = join_by_torchrun(found)
            elif self._processes > 1 and elsewhere is not None:
                self._start_and_gather(elsewhere)
            elif self._processes > 1:
                self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What the others still compute, nobody will see."""
        if kind is None or not is_loss(error):
            self._end()
            if self._beats is not None:
                self._beats.leave(_LAST_WORDS_S if self._started_by_torchrun.world == 1 and kind is None else 0.0)

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
        """Whether the error is nothing but the echo of another rank's end, which is said then.

        Such an attempt is not the run's end: who started the ranks may start them again.
        """
        if not is_loss(error) or not (self._others or self._beats or self._started_by_torchrun.world > 1):
            return False
        deadline = time.monotonic() + _NOTICED_S
        while (lost := self._lost()) is None and self._others and time.monotonic() < deadline:
            time.sleep(0.01)
        only_here = self._beats is None and self._started_by_torchrun.world == 1
        self._end()
        if lost is None and only_here:
            return False
        self._say(f"{lost or error}; the worker ends, too\n")
        return True

    def _start(self) -> None:
        meeting = self._run.scratch_path / ".meeting"
        os.environ.setdefault(machines.INTERFACE_VARIABLE, "lo")  # nobody outside this machine has a part in it
        own = Ranks(0, self._processes, 0, self._processes)
        self._others = start_ranks(self._run, own, str(meeting))
        ranks.join(own, meeting)

    def _start_and_gather(self, elsewhere: Machines) -> None:
        each = self._told.each
        if each * elsewhere.count != self._processes:
            message = f"{self._processes} processes cannot be shared out evenly among {elsewhere.count} machines"
            raise InvalidInput(message, reason="WRONG_WORLD_SIZE", field="processes")
        machines.choose_interface(machines.address(elsewhere.master)[0])
        store = machines.open_store(elsewhere.master, self._told)
        own = Ranks(0, self._processes, 0, each)
        self._beats = Beats(store.clone(), own)
        self._others = start_ranks(self._run, own, tcp_meeting(elsewhere.master, self._told.attempt))
        self._say(f"waits at {elsewhere.master} for the ranks of {elsewhere.count - 1} other machines\n")
        if not machines.gather(store, own, self._told.attempt, lambda: self._stop.asked):
            raise RunStopped
        self._beats.expect()
        ranks.join(own, store)

    def _lost(self) -> str | None:
        """Which rank has ended, and how. Those that worked to the end are not lost."""
        for rank, process in list(self._others.items()):  # the other thread may be adding to it
            code = process.poll()
            if code:
                how = f"was killed by {signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
                return f"rank {rank} of {self._processes} {how}"
        return None if self._beats is None else self._beats.lost()

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


def start_ranks(run: RunDirectory, first: Ranks, meeting: str) -> dict[int, subprocess.Popen[bytes]]:
    """All ranks of this machine but `first` where that is rank 0, which is this process."""
    started = {}
    for local in range(1 if first.leads else 0, first.local_world):
        place = {"RANK": first.rank + local, "WORLD_SIZE": first.world, "LOCAL_RANK": local}
        place |= {"LOCAL_WORLD_SIZE": first.local_world, LEADER_VARIABLE: os.getpid()}
        told = {name: str(value) for name, value in place.items()} | {MEETING_VARIABLE: meeting}
        command = [sys.executable, "-P", "-m", "agentforge.kit.worker", str(run.path)]
        # In our process group: whoever kills it, or counts its memory, means them, too.
        started[first.rank + local] = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=os.environ | told)
    return started


def tcp_meeting(master: str, attempt: int) -> str:
    return f"{_TCP}{master}/{attempt}"


def by_hand() -> bool:
    """Whether this rank was started by a worker or `agentforge join`, and not by torchrun."""
    return MEETING_VARIABLE in os.environ


def join_as_follower(own: Ranks) -> Beats | None:
    """The signs of life that are exchanged, where ranks are on several machines."""
    meeting = os.environ.get(MEETING_VARIABLE)
    if meeting is None:
        beats = join_by_torchrun(own)
        if beats is not None:
            beats.end_with()
        return beats
    if not meeting.startswith(_TCP):
        ranks.join(own, Path(meeting))
        return None
    master, _, attempt = meeting.removeprefix(_TCP).rpartition("/")
    store = machines.reach_store(master)
    beats = Beats(store.clone(), own)
    beats.end_with()  # before joining, in which a rank may wait for a machine that is gone
    machines.come(store, own, int(attempt))
    ranks.join(own, store)
    return beats


def join_by_torchrun(own: Ranks) -> Beats | None:
    with ranks.losses_of(own):
        met = elastic.meet(own)
    ranks.join(own, met.store)
    if own.local_world == own.world:
        return None
    beats = Beats(met.another_connection(), own)
    beats.expect()
    return beats


def is_loss(error: BaseException | None) -> bool:
    return isinstance(error, ForgeError) and error.reason == RANK_LOST
