"""The real `agentforge` program as a subprocess, on the pipeline of the test phases."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


class Program:
    def __init__(self, home: Path, *, pipeline: str = "tests.phases.pipeline", path: str = "") -> None:
        self.home = home
        clean = {k: v for k, v in os.environ.items() if not k.startswith("AGENTFORGE_")}
        self.environment = clean | {
            "AGENTFORGE_HOME": str(home),
            "AGENTFORGE_PIPELINE": pipeline,
            "PYTHONPATH": os.pathsep.join(filter(None, [path, str(ROOT)])),
            "COLUMNS": "120",
        }

    def __call__(self, *args: str | Path, timeout: float = 120) -> Result:
        process = self.start(*args)
        out, err = process.communicate(timeout=timeout)
        return Result(process.returncode, out, err)

    def start(self, *args: str | Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "agentforge.cli", *map(str, args)]
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            cwd=self.home.parent,
            start_new_session=True,
        )


class Result:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err
        assert "Traceback" not in out + err, out + err

    @property
    def last(self) -> dict[str, Any]:
        """The last line of stdout, as scripts read it."""
        value: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return value

    @property
    def error(self) -> dict[str, Any]:
        """The error object on stderr."""
        value: dict[str, Any] = json.loads(self.err.splitlines()[-1])["error"]
        return value

    def __repr__(self) -> str:
        return f"exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


def wait_for_log(log: Path, text: str, timeout: float = 60) -> None:
    """Until the event log holds the text."""
    deadline = time.monotonic() + timeout
    while not (log.exists() and text in log.read_text()):
        assert time.monotonic() < deadline, f"no {text!r} in {log}"
        time.sleep(0.02)


def interrupt(process: subprocess.Popen[str]) -> None:
    """As Ctrl-C in a terminal does for the program; workers have sessions of their own."""
    os.killpg(process.pid, signal.SIGINT)
