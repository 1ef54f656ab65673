"""Why a worker ended: exit code or signal, the kernel's out-of-memory counter, the last lines of its log."""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path

from agentforge.kit.errors import ForgeError, ResourceExhausted, RunFailed

EXIT_FINAL = 0
"""A final state is in the log, whatever it is."""
EXIT_RANK_LOST = 71
"""One of the run's processes died, and the worker with it (EX_OSERR)."""
EXIT_LOCK_HELD = 73
"""Another worker has this run (EX_CANTCREAT)."""
EXIT_INTERRUPTED = 75
"""Stopped by SIGTERM after a checkpoint: not final, resumable (EX_TEMPFAIL)."""

INTERRUPTED = "interrupted; it goes on from its last checkpoint"
"""The reason of the QUEUED that such a worker writes."""

ATTEMPT_LINE = "----- attempt"
"""Begins the line that each worker writes first into worker.log."""

_TAIL_LINES = 40
_TAIL_BYTES = 4000
_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")


@dataclass(frozen=True, slots=True)
class Ending:
    """How a worker process ended, as far as the one who watched can know."""

    exit_code: int | None = None  # None: killed by a signal, or not our child
    signal: int | None = None
    kernel_oom_kills: int = 0  # how far the cgroup's counter rose during the worker's life
    killed_because: str = ""  # set when we killed it
    over_limit: tuple[int, int] | None = None  # (used, limit) in bytes, when that was the reason
    last_rss_bytes: int = 0
    log_tail: str = ""
    told: str = ""  # by one who knows more: "'s pod was evicted: …"
    container_limit: str | None = None  # of memory, when the container was OOMKilled
    refused: ForgeError | None = None  # why no worker of this run can begin; another try would end the same

    @property
    def interrupted(self) -> bool:
        return self.exit_code == EXIT_INTERRUPTED

    @property
    def out_of_memory(self) -> bool:
        killed = self.exit_code == EXIT_RANK_LOST or (self.signal == signal.SIGKILL and not self.killed_because)
        told = self.over_limit is not None or self.container_limit is not None
        return told or (killed and self.kernel_oom_kills > 0)

    @property
    def how(self) -> str:
        """ "ended with exit code 3", "was killed by SIGSEGV", …"""
        if self.killed_because:
            return f"was killed: {self.killed_because}"
        if self.told:
            return self.told
        if self.exit_code == EXIT_RANK_LOST:
            return "lost one of its ranks"
        if self.exit_code is not None:
            return f"ended with exit code {self.exit_code}"
        if self.signal is not None:
            return f"was killed by {signal_name(self.signal)}"
        return "ended unseen (no service watched it)"

    def error(self, phase: str, deaths: int) -> ForgeError:
        """What the run's FAILED state says."""
        if self.refused is not None:
            return self.refused
        tail = f" Last lines of worker.log:\n{self.log_tail}" if self.log_tail else " worker.log is empty."
        if self.out_of_memory:
            return ResourceExhausted(
                f"the worker of {phase} ran out of memory: {self._memory()}.{tail}",
                reason="WORKER_OUT_OF_MEMORY",
                next_step="Give it more memory, or make the batch, population or model smaller; then retry.",
            )
        times = f"; it died {deaths} times in a row without a newer checkpoint" if deaths > 1 else ""
        return RunFailed(
            f"the worker of {phase} {self.how} without a final state{times}.{tail}",
            reason="WORKER_HUNG" if "heartbeat" in self.killed_because else "WORKER_DIED",
            next_step="Read worker.log in the run's directory; a retry goes on from the last checkpoint.",
        )

    def _memory(self) -> str:
        if self.over_limit is not None:
            used, limit = self.over_limit
            return f"its processes held {mebibytes(used)}, the limit is {mebibytes(limit)}"
        held = f"; it held {mebibytes(self.last_rss_bytes)} when last seen" if self.last_rss_bytes else ""
        if self.container_limit is not None:
            return f"its container was OOMKilled, the limit is {self.container_limit}{held}"
        return f"the kernel killed it (SIGKILL, oom_kill counter +{self.kernel_oom_kills}){held}"


def mebibytes(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MiB ({size:,} bytes)"


def log_tail(path: Path) -> str:
    """The last lines that the latest attempt wrote."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 4 * _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    attempt = text.rpartition(ATTEMPT_LINE)[2]
    lines = attempt.partition("\n")[2] if attempt != text else text
    return "\n".join(lines.strip().splitlines()[-_TAIL_LINES:])[-_TAIL_BYTES:]


def kernel_oom_kills() -> int | None:
    """The oom_kill counter of this process's memory cgroup (v2 or v1); None where there is none to read."""
    for path in _oom_files():
        try:
            found = re.search(r"^oom_kill (\d+)$", path.read_text(), re.MULTILINE)
        except (FileNotFoundError, PermissionError):
            continue
        if found:
            return int(found[1])
    return None


def _oom_files() -> list[Path]:
    """Where the counter may be; inside a container the own cgroup is often mounted at the root."""
    files = []
    for line in _OWN_CGROUPS.read_text().splitlines():
        _, controllers, place = line.split(":", 2)
        if not controllers:
            files += [_CGROUPS / place.lstrip("/") / "memory.events", _CGROUPS / "memory.events"]
        elif "memory" in controllers.split(","):
            root = _CGROUPS / "memory"
            files += [root / place.lstrip("/") / "memory.oom_control", root / "memory.oom_control"]
    return files


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
