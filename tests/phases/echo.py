"""Gives back its text."""

from pydantic import Field

from agentforge.kit.config import PhaseConfig
from agentforge.kit.context import PhaseContext
from agentforge.kit.measure import Measurement
from agentforge.kit.phase import PhaseSpec
from tests.phases.texts import MAYBE_TEXT, TEXT, read_text, write_text


class EchoConfig(PhaseConfig):
    text: str = Field("hello", max_length=1 << 20, description="What to say when no text is given.")
    repeat: int = Field(1, ge=1, le=1000, description="How often to say it.")
    samples: int = Field(1, ge=0, le=1_000_000, description="How many events to write on the way.")


def run(context: PhaseContext, config: EchoConfig) -> None:
    text = read_text(context, config.text) * config.repeat
    for number in range(config.samples):
        context.check_stop()
        context.sample("echo/text", {"number": number, "text": text[:200]})
    context.measure(Measurement("echo/characters", len(text), "1", "counted", n=1))
    write_text(context, text)
    context.progress(1, 1, "texts")


SPEC = PhaseSpec(
    name="echo",
    summary="Gives back its text.",
    config=EchoConfig,
    run="tests.phases.echo:run",
    takes=(MAYBE_TEXT,),
    makes=(TEXT,),
    stands_on=(),
)
