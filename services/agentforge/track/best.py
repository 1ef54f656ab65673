"""Which artifact of a phase is `best`: the one whose phase measured the highest deciding value on this volume."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path

from agentforge.kit.files import write_atomic
from agentforge.track.names import DECIDES


def deciding(phase: str, output: str) -> str:
    """Name of the measurement that decides; empty where none does."""
    return DECIDES.get(phase, "").format(output=output)


def is_best(home: Path, phase: str, output: str, value: float, run_id: str) -> bool:
    """Whether no run before was better. Remembered; the run that holds the place keeps it when asked again."""
    path = home / "track" / "best.json"
    with (path.parent / "best.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            known = json.loads(path.read_bytes())
        except (FileNotFoundError, ValueError):  # a memory, not a record: it is made anew
            known = {}
        before = known.get(f"{phase}/{output}")
        if before and before["run_id"] != run_id and before["value"] >= value:
            return False
        known[f"{phase}/{output}"] = {"value": value, "run_id": run_id}
        write_atomic(path, json.dumps(known, indent=1, sort_keys=True).encode() + b"\n")
    return True
