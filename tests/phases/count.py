"""Counts slowly, with checkpoints. The end of its hash chain is the same however often it was killed on the way."""

import hashlib
import json
from pathlib import Path

from pydantic import Field

from agentforge.kit.config import PhaseConfig
from agentforge.kit.context import PhaseContext
from agentforge.kit.measure import Measurement
from agentforge.kit.phase import PhaseSpec
from tests.phases.texts import TEXT, read_text, write_text


class CountConfig(PhaseConfig):
    n: int = Field(20, ge=1, le=1_000_000, description="Count so far.")
    every: int = Field(5, ge=1, description="Steps between two checkpoints.")
    step_s: float = Field(0.0, ge=0, le=60, description="Pause after each step, in seconds.")
    checkpoint_bytes: int = Field(0, ge=0, le=1 << 30, description="How much to put into each checkpoint.")
    output_bytes: int = Field(0, ge=0, le=1 << 30, description="How much to put into a second file of the output.")


def run(context: PhaseContext, config: CountConfig) -> None:
    step, chain = 0, hashlib.sha256(read_text(context).encode()).hexdigest()
    checkpoint = context.checkpoints.latest()
    if checkpoint is not None:
        step, chain = json.loads((checkpoint.path / "state.json").read_text())
        context.log(f"goes on from step {step}")

    def save() -> None:
        context.checkpoints.save(step, write)

    def write(place: Path) -> None:
        (place / "state.json").write_text(json.dumps([step, chain]))
        if config.checkpoint_bytes:
            (place / "padding").write_bytes(
                context.rng("count/padding").python().randbytes(config.checkpoint_bytes)
            )

    while step < config.n:
        context.check_stop(save)
        noise = context.rng("count/step", step).python().randbytes(16)
        chain = hashlib.sha256(chain.encode() + noise).hexdigest()
        step += 1
        context.progress(step, config.n, "numbers")
        if step % config.every == 0:
            save()
        context.wait(config.step_s)
    context.measure(Measurement("count/steps", step, "1", "counted", n=1))
    if config.output_bytes:
        with context.output("text") as place:
            (place / "text.txt").write_text(chain)
            (place / "padding").write_bytes(context.rng("count/padding").python().randbytes(config.output_bytes))
    else:
        write_text(context, chain)


SPEC = PhaseSpec(
    name="count",
    summary="Counts slowly, with checkpoints.",
    config=CountConfig,
    run="tests.phases.count:run",
    takes=(TEXT,),
    makes=(TEXT,),
    stands_on=(),
)
