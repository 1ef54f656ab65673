"""Goes wrong in the way that it is told to."""

import ctypes
import math
import os
import signal
import subprocess
import sys
import time
from typing import Literal

from pydantic import Field

from agentforge.kit.config import PhaseConfig
from agentforge.kit.context import PhaseContext
from agentforge.kit.errors import FailedPrecondition
from agentforge.kit.measure import Measurement
from agentforge.kit.phase import PhaseSpec
from tests.phases.texts import MAYBE_TEXT, TEXT, read_text, write_text

Mode = Literal["none", "error", "crash", "nan", "no_output", "exit", "exit_zero", "segfault", "stubborn", "freeze"]


class FailConfig(PhaseConfig):
    mode: Mode = Field("error", description="The way in which it goes wrong; none: it does not.")


def run(context: PhaseContext, config: FailConfig) -> None:
    text = read_text(context, "nothing went wrong")
    if config.mode == "error":
        raise FailedPrecondition(
            "the tensor is too small", reason="TOO_SMALL", field="layer.0", next_step="Grow it."
        )
    if config.mode == "crash":
        raise ValueError("three is not a number that I know")
    if config.mode == "nan":
        context.measure(Measurement("fail/loss", math.nan, "nat", "computed", n=1))
    if config.mode == "no_output":
        return
    if config.mode.startswith("exit"):
        sys.stdout.write("these are my last words\n")
        os._exit(0 if config.mode == "exit_zero" else 3)
    if config.mode == "segfault":
        ctypes.string_at(0)
    if config.mode == "stubborn":
        _ignore_everything(context)
    if config.mode == "freeze":
        os.kill(os.getpid(), signal.SIGSTOP)
    write_text(context, text)


def _ignore_everything(context: PhaseContext) -> None:
    """Neither stop nor let one's child be stopped: only SIGKILL of the whole group helps."""
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", deaf])
    context.sample("fail/child", {"pid": child.pid})
    while True:
        time.sleep(0.05)


SPEC = PhaseSpec(
    name="fail",
    summary="Goes wrong in the way that it is told to.",
    config=FailConfig,
    run="tests.phases.fail:run",
    takes=(MAYBE_TEXT,),
    makes=(TEXT,),
    stands_on=(),
)
