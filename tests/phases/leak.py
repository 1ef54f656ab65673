"""Takes memory until it has what it was told to take, or is killed for it."""

from pydantic import Field

from agentforge.kit.config import PhaseConfig
from agentforge.kit.context import PhaseContext
from agentforge.kit.phase import PhaseSpec
from tests.phases.texts import MAYBE_TEXT, TEXT, read_text, write_text

_BLOCK = 4 << 20


class LeakConfig(PhaseConfig):
    most_bytes: int = Field(1 << 30, ge=0, le=1 << 40, description="Where it stops, should it live so long.")
    pause_s: float = Field(0.01, ge=0, le=10, description="Pause after each 4 MiB, in seconds.")


def run(context: PhaseContext, config: LeakConfig) -> None:
    text = read_text(context, "nothing leaked")
    held: list[bytes] = []
    while len(held) * _BLOCK < config.most_bytes:
        held.append(b"\x01" * _BLOCK)  # not zeros: those would not become resident
        context.progress(len(held) * _BLOCK, config.most_bytes, "bytes")
        context.check_stop()
        context.wait(config.pause_s)
    write_text(context, text)


SPEC = PhaseSpec(
    name="leak",
    summary="Takes memory until it is killed for it.",
    config=LeakConfig,
    run="tests.phases.leak:run",
    takes=(MAYBE_TEXT,),
    makes=(TEXT,),
    stands_on=(),
)
