"""The artifact kind of the test phases: a directory with one file, text.txt."""

from pathlib import Path

from agentforge.kit.context import PhaseContext
from agentforge.kit.phase import Slot

FILE = "text.txt"
MAYBE_TEXT = Slot("text", "text", min_count=0, description="any text")
TEXT = Slot("text", "text", description="a text")


def read_text(context: PhaseContext, default: str = "") -> str:
    given = context.inputs.maybe("text")
    if given is None:
        return default
    return (given.path / FILE if given.path.is_dir() else given.path).read_text()


def write_text(context: PhaseContext, text: str) -> None:
    with context.output("text") as place:
        Path(place / FILE).write_text(text)
