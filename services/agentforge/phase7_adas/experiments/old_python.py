"""A package unpacked and verified by the Python that a Jetson has, where there is one with the pinned packages."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from agentforge.edge.package.unpack import unpack
from agentforge.phase7_adas.staging import ARCHIVE

VARIABLE = "AGENTFORGE_PYTHON38"


def replayed(package: Path, place: Path) -> dict[str, Any]:
    """Share of golden prompts that each file answers to the token; or what is missing."""
    python = os.environ.get(VARIABLE)
    if not python:
        return {"missing": f"{VARIABLE} names no Python 3.8 with the packages of requirements.txt"}
    place.mkdir()
    top = unpack(package / ARCHIVE, place)
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [python, "verify.py", "--json", "--threads", "1", "--steps", "8"], cwd=top, env=bare,
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    if done.returncode not in (0, 1):
        raise RuntimeError(f"verify.py ended with {done.returncode}: {done.stderr.strip()}")
    report = json.loads(done.stdout)
    versions = report["device"]["libraries"]
    return {
        "files": {one["file"]: one["golden"]["share"] for one in report["results"]},
        "versions": f"Python {report['device']['python']}, onnxruntime {versions['onnxruntime']}",
    }
