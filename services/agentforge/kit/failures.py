"""What a FAILED state says about an exception."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentforge.kit.errors import DiskFull, ForgeError, ResourceExhausted, RunFailed, Violation
from agentforge.kit.phase import PhaseSpec

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_MOST_CHARACTERS = 2000


def told(error: BaseException) -> ForgeError:
    """The exception in words: its type, text and place, no traceback (that is in worker.log)."""
    if isinstance(error, ForgeError):
        return error
    text = f"{_one_line(error)} ({_place(error)})"
    if isinstance(error, OSError) and error.errno in _FULL:
        return DiskFull(f"no space left on the disk: {text}", next_step="Free some space, then resume the run.")
    if isinstance(error, MemoryError) or _is_torch_out_of_memory(error):
        next_step = "Make the batch, the population or the model smaller, or give it more memory; then retry."
        return ResourceExhausted(f"out of memory: {text}", reason="OUT_OF_MEMORY", next_step=next_step)
    next_step = "The traceback is in worker.log of the run's directory."
    return RunFailed(text, reason="PHASE_CRASHED", next_step=next_step)


def wrong_outputs(spec: PhaseSpec, violations: Sequence[Violation]) -> ForgeError:
    return RunFailed(
        f"phase {spec.name} ended, but its outputs are not what it promises: {violations[0].message}",
        reason="WRONG_OUTPUTS",
        field=violations[0].field,
        next_step="This is an error in the phase; report it.",
    )


def detail(error: ForgeError) -> dict[str, Any]:
    """As it stands in an event."""
    return {
        "reason": error.reason,
        "message": error.message,
        "field": error.field,
        "next_step": error.next_step,
    }


def _is_torch_out_of_memory(error: BaseException) -> bool:
    """On a GPU it has a class of its own; on the CPU only the allocator's words."""
    return type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator: can't allocate" in str(error)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:_MOST_CHARACTERS] if text else type(error).__name__


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown place"
