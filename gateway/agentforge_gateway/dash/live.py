"""Parts of a page, sent anew whenever they have changed: server-sent events that the browser takes up by itself.

The first message holds the page as it is now. So a page that lost its gateway for a while misses nothing.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from starlette.responses import StreamingResponse

Drawing = Mapping[str, Any]
"""Element id to its inner HTML (text), or to a Plotly figure ({"data", "layout"})."""
Draw = Callable[[], Awaitable[tuple[Drawing, bool]]]
"""The page's parts now, and whether nothing will change any more."""

_EVERY_S = 0.5
_BEAT_S = 10.0


def live(draw: Draw, closing: asyncio.Event, every_s: float = _EVERY_S) -> StreamingResponse:
    """Ends when the page is final, or when the gateway stops; the browser comes back after the latter alone."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_changes(draw, closing, every_s), media_type="text/event-stream", headers=headers)


async def _changes(draw: Draw, closing: asyncio.Event, every_s: float) -> AsyncIterator[str]:
    shown: dict[str, Any] = {}
    said_at = time.monotonic()
    yield "retry: 1000\n\n"
    while not closing.is_set():
        drawing, final = await draw()
        changed = {key: value for key, value in drawing.items() if shown.get(key) != value}
        if changed:
            shown |= changed
            said_at = time.monotonic()
            yield f"data: {json.dumps(changed, allow_nan=False, separators=(',', ':'))}\n\n"
        if final:
            yield "event: final\ndata: {}\n\n"
            return
        if time.monotonic() - said_at > _BEAT_S:
            said_at = time.monotonic()
            yield ": heartbeat\n\n"
        try:
            async with asyncio.timeout(every_s):
                await closing.wait()
        except TimeoutError:
            pass
