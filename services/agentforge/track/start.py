"""Begin to tell others of a run, each in a process of its own. Never fails, never waits: a run is not to notice."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

from agentforge.kit.errors import ForgeError
from agentforge.track import traceparent
from agentforge.track.mode import VARIABLE, Mode, decide
from agentforge.track.source import PIPELINE, Source

log = logging.getLogger("agentforge.track")


def start_followers(home: Path, run_id: str, phase: str = PIPELINE) -> None:
    """What AGENTFORGE_WANDB and AGENTFORGE_OTEL ask for. One that follows this run already is left to it."""
    if not os.environ.get(VARIABLE) and not traceparent.enabled():
        return
    try:
        kinds = ["wandb"] if decide() is not Mode.DISABLED else []
        kinds += ["otel"] if traceparent.enabled() else []
        for kind in kinds:
            _start(kind, Source(home, run_id, phase))
    except (ForgeError, OSError) as error:
        log.warning("run %s is not told on: %s", run_id, error)


def _start(kind: str, source: Source) -> None:
    command = [sys.executable, "-m", "agentforge.track", kind, source.run_id, "--phase", source.phase]
    place = source.place / kind
    place.mkdir(parents=True, exist_ok=True)
    with (place / "sink.log").open("ab") as output:
        process = subprocess.Popen(
            command,
            env=os.environ | {"AGENTFORGE_HOME": str(source.home)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # it goes on when the program that started it ends, and hears no Ctrl-C
        )
    # Nobody waits for it but this thread, so that it leaves no zombie behind.
    threading.Thread(target=process.wait, name=f"{kind} sink of {source.run_id}", daemon=True).start()
