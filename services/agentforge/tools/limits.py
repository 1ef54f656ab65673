"""How long a call may take and how much it may say: nobody who asks a tool waits for ever or drowns."""

from __future__ import annotations

from dataclasses import dataclass

from agentforge.kit.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Limits:
    seconds: float = 10.0  # wall time of one call
    start_seconds: float = 30.0  # wall time until a tool's process has imported it
    argument: int = 4_000  # characters that a model may give
    result: int = 4_000  # characters that a tool may answer
    error: int = 160  # characters of what is told about a failure: small models see few tokens
    memory: int = 2 << 30  # bytes of data of a tool's process

    def __post_init__(self) -> None:
        for name in ("seconds", "start_seconds", "argument", "result", "error", "memory"):
            if not 0 < getattr(self, name) < float("inf"):
                message = f"a limit of {getattr(self, name)} {name} is no limit that anything passes"
                raise InvalidInput(message, reason="OUT_OF_RANGE", field=f"limits.{name}")
