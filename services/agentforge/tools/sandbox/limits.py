"""What a piece of code may use up, and how its run ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from agentforge.kit.config import StrictModel

Failure = Literal["time", "memory", "output", "died", "refused", "error"]


class Limits(StrictModel):
    """Files, processes, threads and the network have no number here: there are none of them."""

    seconds: float = Field(2.0, gt=0, le=600, description="Wall clock from when the code starts; sleeping counts.")
    cpu_seconds: int = Field(2, ge=1, le=600, description="Of the processor, in whole seconds; starting counts.")
    memory: int = Field(
        256 << 20, ge=64 << 20, le=16 << 30, description="Bytes of address space; Python itself takes about 30 MB."
    )
    output: int = Field(16 << 10, ge=1, le=64 << 20, description="Bytes that the code may print.")
    code: int = Field(64 << 10, ge=1, le=1 << 20, description="Bytes of code, as UTF-8.")


@dataclass(frozen=True, slots=True)
class Outcome:
    """`failure` is None where the code ran to its end. Whatever stands here, the code can have made up.

    time: not done when a limit of time came. memory: asked for more than there is. output: printed more than is
    read. refused: asked for something that is kept from it, and did not catch the refusal; or was too long to
    start. error: any other exception. died: ended in another way (a crash, os._exit).
    """

    text: str  # what was printed up to the end or the failure, at most `Limits.output` bytes
    failure: Failure | None
    message: str  # of a failure; of an error, the last line of the traceback
    seconds: float  # from the code's start to its end
    layers: tuple[str, ...]  # what it was kept in by; () where it was not started
