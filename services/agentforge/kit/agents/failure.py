"""How an attempt can fail, in words that are the same each time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agentforge.kit import failures
from agentforge.kit.errors import DiskFull, ForgeError, RunFailed


class Kind(StrEnum):
    ERROR = "error"  # the work raised
    DEADLINE = "deadline"
    KILLED = "killed"
    MEMORY = "memory"
    DISK = "disk"
    OUTPUTS = "outputs"  # missing, not declared, altered after they were written, or refused by the agent's check
    INPUTS = "inputs"  # damaged since they were published
    CIRCUIT = "circuit"  # open: not tried
    MESSAGE = "message"  # what the agent waits for could not be delivered


@dataclass(frozen=True, slots=True)
class Failure:
    kind: Kind
    message: str
    reason: str = ""  # of the error that it was
    next_step: str = ""
    lasting: bool = False  # the same work would fail again: the request is wrong
    inputs: tuple[str, ...] = ()  # which are damaged
    error: BaseException | None = None  # of inline work, for `raise ... from`

    def plain(self) -> dict[str, Any]:
        return {"kind": str(self.kind), "message": self.message, "reason": self.reason}


class WrongOutputs(RunFailed):
    default_reason = "WRONG_OUTPUTS"


def of_error(error: Exception, place: str) -> Failure:
    """`place` is cut out of the text, so that it does not depend on where the run lies."""
    told = failures.told(error)
    return Failure(
        _kind(told),
        told.message.replace(f"{place}/", ""),
        told.reason,
        told.next_step,
        lasting=told.grpc_code == "INVALID_ARGUMENT",
        error=error,
    )


def _kind(error: ForgeError) -> Kind:
    if isinstance(error, DiskFull):
        return Kind.DISK
    if isinstance(error, WrongOutputs):
        return Kind.OUTPUTS
    return Kind.MEMORY if error.reason == "OUT_OF_MEMORY" else Kind.ERROR
