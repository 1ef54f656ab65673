"""What stands before every HTTP request: the bearer token, and a bound on the size of a body. Plain ASGI."""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from agentforge.kit.errors import ForgeError, InvalidInput, Unauthenticated
from agentforge_gateway.problems import problem_response

MAX_BODY_BYTES = 4 << 20
_OPEN = frozenset({"/healthz", "/readyz"})  # probes carry no token


class BodyTooLarge(InvalidInput):
    default_reason = "BODY_TOO_LARGE"
    http_status = 413


class Guard:
    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode() if token else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._unknown_caller(scope["path"], headers) or _too_large(headers)
        if refusal is None:
            await self._app(scope, _bounded(receive), send)
        elif scope["type"] == "websocket":
            await WebSocket(scope, receive, send).send_denial_response(problem_response(refusal))
        else:
            await problem_response(refusal)(scope, receive, send)

    def _unknown_caller(self, path: str, headers: Headers) -> ForgeError | None:
        if not self._expected or path in _OPEN:
            return None
        given = headers.get("authorization", "")
        if hmac.compare_digest(given.encode(), self._expected):
            return None
        return Unauthenticated(
            "the bearer token is wrong" if given else "a bearer token is needed",
            field="Authorization",
            next_step="Send 'Authorization: Bearer TOKEN' with the token of this gateway (AGENTFORGE_TOKEN).",
        )


def _too_large(headers: Headers) -> ForgeError | None:
    length = headers.get("content-length", "0")
    if length.isdigit() and int(length[:20]) <= MAX_BODY_BYTES:
        return None
    return BodyTooLarge(
        f"the body has {length[:20]} bytes; at most {MAX_BODY_BYTES:,} are taken",
        next_step="Pass large data as an input on the volume.",
    )


def _bounded(receive: Receive) -> Receive:
    """Counts the body as it comes, for callers who do not say its length."""
    taken = 0

    async def counting() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b"")) if message["type"] == "http.request" else 0
        if taken > MAX_BODY_BYTES:
            raise HTTPException(413, f"the body has more than {MAX_BODY_BYTES:,} bytes")
        return message

    return counting
