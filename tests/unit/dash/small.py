"""Phases with the names of the first two, so small that they need no torch: their models are a few bytes.

AGENTFORGE_PIPELINE=tests.unit.dash.small. What they write goes through the real frame.
"""

from pathlib import Path

from pydantic import Field

from agentforge.kit.config import PhaseConfig
from agentforge.kit.context import PhaseContext
from agentforge.kit.errors import FailedPrecondition
from agentforge.kit.measure import Measurement
from agentforge.kit.phase import PhaseSpec, Pipeline, Slot
from tests.unit.registry.making import write_model

NAMES = ("reasoning", "memory_integration", "adaptive_computation")


class CognateConfig(PhaseConfig):
    say: str = Field("nothing", description="A line of the log.")
    fails: bool = Field(False, description="Whether it fails at the end.")
    numbers: int = Field(3, ge=1, le=100, description="Of each tensor.")


class EvomergeConfig(PhaseConfig):
    generations: int = Field(2, ge=1, le=1000, description="Generations.")
    pause_s: float = Field(0.0, ge=0, le=60, description="After each, in seconds.")


def cognate(context: PhaseContext, config: CognateConfig) -> None:
    context.log(config.say)
    for name in NAMES:
        with context.output(name) as place:
            write_model(place, name, weights=[config.numbers])
    if config.fails:
        raise FailedPrecondition(f"it was told to fail and to say {config.say}", reason="TOLD_TO")
    context.measure(Measurement("cognate/models", len(NAMES), "1", "counted", n=1))


def evomerge(context: PhaseContext, config: EvomergeConfig) -> None:
    for generation in range(config.generations):
        context.check_stop()
        context.progress(generation + 1, config.generations, "generations")
        context.measure(Measurement("evomerge/best_fitness", generation, "1", "counted", n=1, step=generation))
        context.wait(config.pause_s)
    with context.output("champion") as place:
        write_model(place, "champion", weights=[3])


COGNATE = PhaseSpec(
    name="cognate",
    summary="Makes three models of a few bytes.",
    config=CognateConfig,
    run="tests.unit.dash.small:cognate",
    makes=tuple(Slot(name, "model", description="a model") for name in NAMES),
    stands_on=(),
)
EVOMERGE = PhaseSpec(
    name="evomerge",
    summary="Makes one of several.",
    config=EvomergeConfig,
    run="tests.unit.dash.small:evomerge",
    takes=(Slot("models", "model", 2, 64, "parents"),),
    makes=(Slot("champion", "model", description="a model"),),
    stands_on=(),
)
PIPELINE = Pipeline(
    "tests.unit.dash.small:COGNATE", "tests.unit.dash.small:EVOMERGE", presets=Path(__file__).parent / "presets"
)
