"""Where axe-core is: $AXE, or the one of npm, which is fetched once into .tools (git ignores it)."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".tools" / "axe"  # npm removes from its directory what it was not told of
PACKAGE = "axe-core@4.14.1"
_SCRIPT = TOOLS / "node_modules" / "axe-core" / "axe.min.js"


def find_axe() -> Path | str:
    """The script that a page runs, or in words why there is none."""
    given = os.environ.get("AXE")
    if given:
        return Path(given) if Path(given).is_file() else f"AXE={given} is no file"
    npm = shutil.which("npm")
    if not _SCRIPT.exists() and npm is None:
        return "no axe-core: set AXE to its axe.min.js, or put npm on PATH"
    TOOLS.mkdir(parents=True, exist_ok=True)
    with (TOOLS / ".lock").open("w") as lock:  # several test processes may come at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _SCRIPT.exists():
            assert npm is not None
            command = [npm, "install", "--no-audit", "--no-fund", "--no-save", "--prefix", str(TOOLS), PACKAGE]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=240)
            except subprocess.TimeoutExpired:
                return f"npm did not install {PACKAGE} within 240 s"
            if done.returncode or not _SCRIPT.exists():
                return f"npm could not install {PACKAGE}: {done.stderr.strip()[-300:]}"
    return _SCRIPT


if __name__ == "__main__":
    found = find_axe()
    print(found)
    sys.exit(isinstance(found, str))
