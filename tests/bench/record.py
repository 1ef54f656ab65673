"""Where a figure goes, and what it stands on."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def distribution(samples: Sequence[float]) -> dict[str, float | int]:
    """p50, p95 and the worst of what was measured."""
    ordered = sorted(samples)
    return {
        "n": len(ordered),
        "p50": statistics.median(ordered),
        "p95": ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))],
        "max": ordered[-1],
    }


def record(name: str, target: str, figures: dict[str, Any]) -> None:
    """Write bench/<name>.json and say it."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "machine": platform.machine()}
    result = {"name": name, "target": target, "figures": figures, "machine": machine, "code": commit.stdout.strip()}
    place = ROOT / "bench" / f"{name}.json"
    place.parent.mkdir(exist_ok=True)
    place.write_text(json.dumps(result, indent=2) + "\n")
    print(f"{name}: {json.dumps(figures)}   (target: {target})", flush=True)


def rss_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
