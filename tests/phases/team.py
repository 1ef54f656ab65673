"""Adds up numbers with several processes, or loses one of them in the way that it is told to."""

import os
import signal
import time
from typing import Literal

from pydantic import Field

from agentforge.kit import ranks
from agentforge.kit.config import TeamConfig
from agentforge.kit.context import PhaseContext
from agentforge.kit.errors import FailedPrecondition
from agentforge.kit.measure import Measurement
from agentforge.kit.phase import PhaseSpec
from tests.phases.texts import TEXT, write_text

Mode = Literal["none", "kill", "kill_while_busy", "exit", "error_of_all", "kill_once", "wait"]


class Config(TeamConfig):
    mode: Mode = Field("none", description="What becomes of rank 1 at step 3.")
    steps: int = Field(5, ge=1, description="Numbers to add up.")


def run(context: PhaseContext, config: Config) -> None:
    own, total, step = ranks.current(), 0.0, 0
    checkpoint = context.checkpoints.latest()
    if checkpoint is not None:
        step, total = checkpoint.step, float((checkpoint.path / "total").read_text())
        context.log(f"goes on from step {step}")

    def save() -> None:
        context.checkpoints.save(step, lambda place: (place / "total").write_text(str(total)))

    context.sample("team", {"pid": os.getpid()})
    while step < config.steps:
        context.check_stop(save)
        if step == 3:
            meet_fate(context, config, own)
        total += own.add((own.rank + 1) * step)
        step += 1
        context.progress(step, config.steps)
        if step == 2:
            save()
        if config.mode == "wait":
            time.sleep(0.02)
    context.measure(Measurement("team/total", total, "1", "added up", n=config.steps))
    write_text(context, str(total))


def meet_fate(context: PhaseContext, config: Config, own: ranks.Ranks) -> None:
    mode = config.mode
    if mode == "error_of_all":
        raise FailedPrecondition("the sum is too large", reason="TOO_LARGE", field="steps")
    if mode == "kill_while_busy" and own.leads:
        time.sleep(600)  # as deaf as one that waits in nccl
    if own.rank == 1:
        if mode.startswith("kill") and (mode != "kill_once" or context.attempt == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        if mode == "exit":
            raise ValueError("rank 1 alone cannot go on")


SPEC = PhaseSpec(
    name="team",
    summary="Adds up numbers with several processes.",
    config=Config,
    run="tests.phases.team:run",
    makes=(TEXT,),
    stands_on=(),
)
