"""Reads data as real phases do: held-out items in its first attempt alone, a stream in every one."""

from pydantic import Field

from agentforge.data.generate import ItemStream, items_by_family
from agentforge.data.splits import Split
from agentforge.kit.config import PhaseConfig
from agentforge.kit.context import PhaseContext
from agentforge.kit.phase import PhaseSpec
from tests.phases.texts import MAYBE_TEXT, TEXT, write_text


class ReadConfig(PhaseConfig):
    wait_s: float = Field(0.0, ge=0, le=60, description="How long it waits between the two.")


def run(context: PhaseContext, config: ReadConfig) -> None:
    if context.attempt == 1:
        items_by_family({"arithmetic": []}, Split.TEST, 10, config.seed, field="none")
        context.progress(1, 2, "readings", "held out")
        context.flush_progress()
        context.wait(config.wait_s)
        context.check_stop()
    stream = ItemStream("recall", Split.TRAIN, config.seed)
    write_text(context, stream.item(7).text)


SPEC = PhaseSpec(
    name="read",
    summary="Reads data.",
    config=ReadConfig,
    run="tests.phases.read:run",
    takes=(MAYBE_TEXT,),
    makes=(TEXT,),
    stands_on=("agentforge.data",),
)
