"""Facts about this machine that can be read without guessing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def cpu_count() -> int:
    """CPUs that this process may use: an affinity mask or a container can make them fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def memory_bytes() -> tuple[int, int]:
    """(total, available), within the container's limit where there is one; zeros where the system does not say."""
    total, available = _meminfo()
    limit, used = _cgroup("memory.max"), _cgroup("memory.current")
    if limit is not None and (not total or limit < total):
        total = limit
        free = limit - (used or 0)
        available = min(available, free) if available else free
    return total, available


def disk_free_bytes(place: Path) -> int:
    """Free bytes for this user at the place, or at its nearest parent that exists."""
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def size_text(count: int) -> str:
    """Bytes for people."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def _meminfo() -> tuple[int, int]:
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:  # no Linux: say "unknown" rather than guess
        return 0, 0
    kib = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines() if line.endswith(" kB")}
    return kib.get("MemTotal", 0) << 10, kib.get("MemAvailable", 0) << 10


def _cgroup(name: str) -> int | None:
    try:
        text = Path("/sys/fs/cgroup", name).read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None  # "max": no limit
