"""`agentforge serve all`: the gateway and every phase in one process, as a person starts them."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.harness import ROOT, environment, worker_pids

REAL = "agentforge.pipeline"
_READY = re.compile(r"^gateway (http://\S+) ", re.MULTILINE)


@contextlib.contextmanager
def serving_all(home: Path, pipeline: str = REAL, **settings: str) -> Iterator[str]:
    """The gateway's URL. At the end the process is gone, and so are the workers of this volume."""
    log = home.parent / "serve.log"
    home.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "agentforge.cli", "serve", "all", "--listen", "127.0.0.1:0"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env=environment(home, pipeline) | settings, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            cwd=ROOT,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not (said := _READY.search(log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield said[1]
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pid in worker_pids(home):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
