"""One trial in an interpreter of its own: `python -m agentforge.kit.trial PHASE EXPERIMENT KEY OUT`."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from agentforge.kit.phase import load_pipeline
from agentforge.kit.recorded import code_digest, plain


def main(phase: str, name: str, key: str, out: str) -> None:
    """Writes {"arguments", "seconds", "code", "result"} to `out`; errors go to stderr, for whoever started this."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are born deaf to it
    threading.Thread(target=_end_with_the_starter, daemon=True).start()
    spec = load_pipeline().spec(phase)
    experiment = next(each for each in spec.experiments if each.name == name)
    code = code_digest(spec, experiment)
    module = experiment.load()
    trial = next(each for each in module.trials() if each.key == key)
    began = time.monotonic()
    result = module.measure(**trial.arguments)
    seconds = round(time.monotonic() - began, 3)
    done = {"arguments": plain(trial.arguments), "seconds": seconds, "code": code, "result": result}
    Path(out).write_text(json.dumps(done, allow_nan=False))


def _end_with_the_starter() -> None:
    """Stdin is a pipe that closes when the starter is gone, however that came: then this ends as at Ctrl-C."""
    while os.read(sys.stdin.fileno(), 1):  # unbuffered: a buffer's lock would trouble the interpreter's end
        pass
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    main(*sys.argv[1:])
