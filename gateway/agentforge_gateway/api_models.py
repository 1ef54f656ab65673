"""What the routes of runs and of phases have in common."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import Field

from agentforge.kit import clock
from agentforge_gateway.models import RUN_ID, Model
from agentforge_gateway.streams import MAX_SEQUENCE

RunId = Annotated[str, Path(pattern=RUN_ID, description="Letters, digits, '.', '_' and '-', at most 64.")]
After = Annotated[int | None, Query(ge=0, le=MAX_SEQUENCE, description="Only events behind this sequence.")]

EVENT_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The id of an event is its sequence, its data the JSON of agentforge.v1.Event.",
        "content": {"text/event-stream": {}},
    }
}


class CancelRequest(Model):
    reason: Annotated[str, Field(max_length=1000, description="For people; it is written to the log.")] = ""


def new_run_id() -> str:
    """Sorts by time, and two that are made at once differ."""
    stamp = clock.now()[:19].translate({ord(c): None for c in "-:"}).replace("T", "-")
    return f"run-{stamp}-{secrets.token_hex(3)}"
