"""Names and labels by which a run's Jobs are found again, by any service and after any restart."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from agentforge.kit.events import EventReader
from agentforge.kit.rundir import RunDirectory
from agentforge.kit.state import QUEUED

PHASE = "agentforge.dev/phase"
RUN = "agentforge.dev/run"
RUN_ID = "agentforge.dev/run-id"  # an annotation: the whole id
INSTALLATION = "agentforge.dev/installation"
LABELS = {"app.kubernetes.io/name": "agent-forge", "app.kubernetes.io/component": "worker"}
_DIGEST = 10  # hexadecimal digits: 40 bits, among the runs of one phase of one installation


def installation(owner: str, home: Path) -> str:
    """Tells two installations in one namespace apart: their Jobs are none of each other's business."""
    return _digest(owner or str(home))


def job_name(run: RunDirectory, installed: str) -> str:
    """Of the launch that is due now: it changes when the log says QUEUED again, and only then."""
    place = _digest(installed, run.path.relative_to(run.home).as_posix())
    return f"{_dns(run.phase, 30)}-{place}-{launches(run)}"


def run_label(run: RunDirectory) -> str:
    return f"{_dns(run.run_id, 40)}-{_digest(run.run_id)}"


def labels(run: RunDirectory, installed: str) -> dict[str, str]:
    return LABELS | {PHASE: _dns(run.phase, 63), RUN: run_label(run), INSTALLATION: installed}


def selector(labels: dict[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))


def phase_selector(phase: str, installed: str) -> str:
    return selector(LABELS | {PHASE: _dns(phase, 63), INSTALLATION: installed})


def launches(run: RunDirectory) -> int:
    count, reader = 0, EventReader(run.log_path)
    while records := reader.poll():
        count += sum(record.get("state_changed", {}).get("state") == QUEUED for record in records)
    return count


def _dns(text: str, most: int) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:most].strip("-") or "x"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:_DIGEST]
