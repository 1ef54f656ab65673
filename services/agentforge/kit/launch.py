"""Starting workers and finding them again. A launcher is all that differs between one machine and a cluster."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from agentforge.kit.diagnosis import Ending, kernel_oom_kills, log_tail
from agentforge.kit.errors import InvalidInput, Unavailable
from agentforge.kit.files import disk_errors
from agentforge.kit.heartbeat import Beat, read_heartbeat
from agentforge.kit.processes import ProcessIdentity, group_rss_bytes, kill_group
from agentforge.kit.rundir import RunDirectory
from agentforge.kit.waiting import happens_within
from agentforge.kit.worker import LOCK_VARIABLE

LAUNCHER_VARIABLE = "AGENTFORGE_LAUNCHER"


class RunningWorker(Protocol):
    """A worker that was launched or adopted."""

    async def ended(self, timeout_s: float) -> bool:
        """Wait until it has ended, at most so long; whether it has."""

    def heartbeat(self) -> Beat | None: ...

    def waits(self) -> bool:
        """Whether it has not begun yet, so that there is no heartbeat to miss."""

    def used_bytes(self) -> int:
        """Memory that it and all its children hold."""

    def interrupt(self) -> None:
        """Ask it to write a checkpoint and end, resumably."""

    def kill(self, because: str, over_limit: tuple[int, int] | None = None) -> None:
        """End it at once, with all its children."""

    async def close(self) -> Ending:
        """After its end: clear away what it left running, and say how it ended."""

    def detach(self) -> None:
        """Stop watching, and let it run."""


class Launcher(Protocol):
    async def ready(self, home: Path, phase: str) -> None:
        """At a service's start: raise what would keep every run from starting."""

    async def find(self, run: RunDirectory) -> RunningWorker | None:
        """Asked before the LOCK is: a worker that exists though its LOCK may not show it, or not yet."""

    async def sweep(self, home: Path, phase: str) -> None:
        """At a service's start: clear away what is left of runs that are over or gone."""

    async def close(self) -> None:
        """Let go of what launching needed. Workers go on."""

    async def launch(self, run: RunDirectory, lock: int) -> RunningWorker:
        """Start the run's worker, which takes over the LOCK. The caller closes its own descriptor afterwards."""

    async def adopt(self, run: RunDirectory) -> RunningWorker | None:
        """The worker that another launcher started, if it is within reach and lives."""


def launcher_of_environment() -> Launcher:
    """As AGENTFORGE_LAUNCHER says: local, which is the default, or kubernetes."""
    name = os.environ.get(LAUNCHER_VARIABLE) or "local"
    if name == "local":
        return LocalLauncher()
    if name == "kubernetes":
        from agentforge.kit.cluster import KubernetesLauncher

        return KubernetesLauncher.of_environment()
    message = f"{LAUNCHER_VARIABLE}={name!r} is no launcher"
    raise InvalidInput(
        message, reason="UNKNOWN_LAUNCHER", field=LAUNCHER_VARIABLE, next_step="Say local or kubernetes."
    )


class LocalLauncher:
    """Workers are processes of this machine, each the leader of its own session and process group."""

    def __init__(self, command: Sequence[str] = (sys.executable, "-P", "-m", "agentforge.kit.worker")) -> None:
        self._command = tuple(command)

    async def ready(self, home: Path, phase: str) -> None:
        pass

    async def find(self, run: RunDirectory) -> LocalWorker | None:
        return None  # who has no LOCK does not work

    async def sweep(self, home: Path, phase: str) -> None:
        pass  # a worker goes by itself

    async def close(self) -> None:
        pass

    async def launch(self, run: RunDirectory, lock: int) -> LocalWorker:
        # Fixed hashing: a phase that iterates over a set gives the same bytes after a restart.
        settings = {
            LOCK_VARIABLE: str(lock),
            "PYTHONHASHSEED": "0",
            "PYTHONUNBUFFERED": "1",
            "PYTHONFAULTHANDLER": "1",
        }
        with disk_errors(run.worker_log_path):
            output = run.worker_log_path.open("ab")
        with output:
            try:
                process = subprocess.Popen(  # noqa: ASYNC220 - vfork: a millisecond, also for a large parent
                    [*self._command, str(run.path)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=os.environ | settings,
                    pass_fds=[lock],
                    start_new_session=True,
                )
            except OSError as error:
                message = f"no worker could be started for {run.path}: {error.strerror}"
                raise Unavailable(
                    message, reason="WORKER_NOT_STARTED", next_step="Free memory, then retry."
                ) from error
        identity = ProcessIdentity.of(process.pid)
        return LocalWorker(run, identity, os.pidfd_open(process.pid), process)

    async def adopt(self, run: RunDirectory) -> LocalWorker | None:
        beat = read_heartbeat(run.heartbeat_path)
        if beat is None or not beat.worker.is_local:
            return None
        pidfd = beat.worker.open()
        if pidfd is None:
            kill_group(beat.worker)  # children that outlived their worker, and perhaps still hold its LOCK
            return None
        return LocalWorker(run, beat.worker, pidfd, None)


class LocalWorker:
    """A worker process, watched through a pidfd: no polling, no confusion when numbers are used again."""

    def __init__(
        self, run: RunDirectory, identity: ProcessIdentity, pidfd: int, process: subprocess.Popen[bytes] | None
    ) -> None:
        self.identity = identity
        self._run = run
        self._pidfd = pidfd
        self._process = process
        self._oom_kills = kernel_oom_kills()
        self._because = ""
        self._over_limit: tuple[int, int] | None = None
        self._exited = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(pidfd, self._on_exit)

    async def ended(self, timeout_s: float) -> bool:
        return await happens_within(self._exited, timeout_s)

    def heartbeat(self) -> Beat | None:
        beat = read_heartbeat(self._run.heartbeat_path)
        return beat if beat is not None and beat.worker == self.identity else None

    def waits(self) -> bool:
        return False

    def used_bytes(self) -> int:
        return group_rss_bytes(self.identity.pgid)

    def interrupt(self) -> None:
        if not self._exited.is_set():
            signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)

    def kill(self, because: str, over_limit: tuple[int, int] | None = None) -> None:
        self._because = because
        self._over_limit = over_limit
        kill_group(self.identity)

    async def close(self) -> Ending:
        kill_group(self.identity)  # before reaping: a zombie leader still keeps the group's number from others
        code, number = self._reap()
        beat = self.heartbeat()
        before, now = self._oom_kills, kernel_oom_kills()
        self._release()
        return Ending(
            exit_code=code,
            signal=number,
            kernel_oom_kills=0 if before is None or now is None else now - before,
            killed_because=self._because,
            over_limit=self._over_limit,
            last_rss_bytes=beat.rss_bytes if beat else 0,
            log_tail=log_tail(self._run.worker_log_path),
        )

    def detach(self) -> None:
        self._release()
        if self._process is not None and self._process.poll() is None:
            _left_running.append(self._process)
        _left_running[:] = [process for process in _left_running if process.poll() is None]

    def _on_exit(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self._exited.set()

    def _release(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)

    def _reap(self) -> tuple[int | None, int | None]:
        """Exit code and signal of the ended process; neither when it is not our child."""
        try:
            status = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED)
        except ChildProcessError:
            return None, None
        if self._process is not None:
            self._process.poll()  # so that Popen knows, too
        if status is None or status.si_code != os.CLD_EXITED:
            return None, None if status is None else status.si_status
        return status.si_status, None


_left_running: list[subprocess.Popen[bytes]] = []
"""Children whose supervisor went while they work on; kept so that Popen does not complain, and reaped later."""
