"""Processes by identity and by group, read from /proc: no signal ever goes to a stranger who got an old number."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process for good: a number alone is used again after a while, number + boot + start time is not."""

    pid: int
    pgid: int
    host: str
    boot_id: str
    start_ticks: int  # clock ticks between boot and the process's start

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity:
        stat = _stat(pid)
        if stat is None:
            raise ProcessLookupError(f"there is no process {pid}")
        return cls(pid, stat.pgid, platform.node(), boot_id(), stat.start_ticks)

    @property
    def is_local(self) -> bool:
        return self.host == platform.node() and self.boot_id == boot_id()

    @property
    def is_alive(self) -> bool:
        """True when this very process runs on this machine; a zombie does not run."""
        stat = _stat(self.pid) if self.is_local else None
        return stat is not None and stat.start_ticks == self.start_ticks and stat.state != "Z"

    def open(self) -> int | None:
        """A pidfd of this very process, or None when it is gone. The caller closes it."""
        try:
            pidfd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        if self.is_alive:  # checked after opening: from now on the number cannot mean another
            return pidfd
        os.close(pidfd)
        return None


@dataclass(frozen=True, slots=True)
class _Stat:
    pid: int
    state: str
    pgid: int
    start_ticks: int
    rss_bytes: int


def _stat(pid: int) -> _Stat | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the name in parentheses may hold anything
    return _Stat(pid, fields[0], int(fields[2]), int(fields[19]), int(fields[21]) * _PAGE)


def boot_id() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def rss_bytes(pid: int) -> int:
    """Resident memory of one process; 0 when it is gone."""
    stat = _stat(pid)
    return stat.rss_bytes if stat else 0


def group_rss_bytes(pgid: int) -> int:
    """Resident memory of a process group. Pages that its members share count once for each of them."""
    return sum(stat.rss_bytes for stat in _group(pgid))


def kill_group(identity: ProcessIdentity) -> int:
    """SIGKILL every process of the group that `identity` leads or led; how many there were.

    The group's number stays taken while it has a member. Only when it had died out could the number belong to a
    stranger, who is then seen as a leader with another start time, and spared.
    """
    if not identity.is_local:
        return 0
    if identity.pgid != identity.pid:  # started by hand, in a group that is not its own
        return _kill_one(identity)
    killed = 0
    for _ in range(10):  # members may fork while they are being killed
        members = [m for m in _group(identity.pgid) if m.state != "Z"]
        if not members or any(m.pid == identity.pid and m.start_ticks != identity.start_ticks for m in members):
            break
        killed += len(members)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(identity.pgid, signal.SIGKILL)
    return killed


def _kill_one(identity: ProcessIdentity) -> int:
    pidfd = identity.open()
    if pidfd is None:
        return 0
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)
    return 1


def _group(pgid: int) -> Iterator[_Stat]:
    for entry in os.listdir(_PROC):  # noqa: PTH208 - names are enough, and this runs several times a second
        if entry.isdigit():
            stat = _stat(int(entry))
            if stat is not None and stat.pgid == pgid:
                yield stat
