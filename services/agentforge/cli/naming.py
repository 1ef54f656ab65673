"""Run ids, and what is said where no phase is built."""

from __future__ import annotations

import difflib
import secrets
import time
from collections.abc import Sequence

from agentforge.kit.errors import FailedPrecondition, NotFound
from agentforge.kit.phase import Pipeline, load_pipeline


def new_run_id() -> str:
    """Sorts by time, and two commands in one second do not meet: "20261121-101500-3fa9"."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"


def pipeline_here() -> Pipeline:
    """The pipeline of this installation, with at least one phase."""
    pipeline = load_pipeline()
    if not pipeline.names:
        raise FailedPrecondition(
            "no phase is built yet in this installation",
            reason="NO_PHASES",
            field="agentforge/pipeline.py",
            next_step="See docs/add-a-phase.md, or take a version of agentforge that has phases.",
        )
    return pipeline


def near_phase(name: str, known: Sequence[str], field: str) -> NotFound:
    """The error for a phase that is not there, with the nearest that is."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(known) or 'none'}."
    return NotFound(f"there is no phase {name!r}", reason="UNKNOWN_PHASE", field=field, next_step=hint)
