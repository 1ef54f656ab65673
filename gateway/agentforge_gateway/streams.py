"""Event streams for browsers and scripts: server-sent events and WebSocket, over the shared tails."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator

from starlette.responses import StreamingResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from agentforge.kit.errors import InvalidInput
from agentforge_gateway.tail import CaughtUp, Chunk, Item

MAX_SEQUENCE = 2**63 - 1


def start_after(after: int | None, last_event_id: str | None) -> int:
    """Where to go on: Last-Event-ID of a browser that comes back is newer than the ?after= of its address."""
    if last_event_id is None or last_event_id == "":
        return after or 0
    if not (last_event_id.isascii() and last_event_id.isdigit() and int(last_event_id[:20]) <= MAX_SEQUENCE):
        raise InvalidInput(
            "Last-Event-ID is no id of an event",
            reason="BAD_EVENT_ID",
            field="Last-Event-ID",
            next_step="Send the id of the last event that you have, or nothing.",
        )
    return int(last_event_id)


def sse_response(items: AsyncGenerator[Item, None]) -> StreamingResponse:
    """Ids are sequences. Heartbeats are comments, the catch-up mark is an event of its own name."""
    return StreamingResponse(
        _frames(items),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},  # no proxy may hold events back
    )


async def _frames(items: AsyncGenerator[Item, None]) -> AsyncIterator[bytes]:
    async with contextlib.aclosing(items):
        async for item in items:
            if isinstance(item, Chunk):
                yield item.sse
            elif isinstance(item, CaughtUp):
                yield b'event: caught_up\ndata: {"sequence":%d}\n\n' % item.sequence
            else:
                yield b": heartbeat\n\n"


async def feed_websocket(socket: WebSocket, items: AsyncGenerator[Item, None]) -> None:
    """Each message is {"events": [...]}, the JSON of WatchPipelineResponse; then the connection is closed."""
    await feed_texts(socket, _texts(items))


async def feed_texts(socket: WebSocket, texts: AsyncGenerator[str, None]) -> None:
    """As they come, until they end or the client goes."""
    await socket.accept()
    gone = asyncio.create_task(_until_gone(socket))
    sending = asyncio.create_task(_send_all(socket, texts))
    try:
        await asyncio.wait([gone, sending], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (gone, sending):
            task.cancel()
        results = await asyncio.gather(gone, sending, return_exceptions=True)
    if isinstance(results[1], Exception) and not isinstance(results[1], WebSocketDisconnect):
        raise results[1]


async def _texts(items: AsyncGenerator[Item, None]) -> AsyncGenerator[str, None]:
    async with contextlib.aclosing(items):
        async for item in items:
            if isinstance(item, Chunk):
                yield item.text
            elif isinstance(item, CaughtUp):
                mark = {"sequence": 0, "caught_up": {"sequence": item.sequence}}
                yield json.dumps({"events": [mark]})
            else:
                yield '{"events":[{"sequence":0,"heartbeat":{}}]}'


async def _send_all(socket: WebSocket, texts: AsyncGenerator[str, None]) -> None:
    async with contextlib.aclosing(texts):
        async for text in texts:
            await socket.send_text(text)
    await socket.close()


async def _until_gone(socket: WebSocket) -> None:
    """What the client says is not heard; that it goes is."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
