"""What stands before every HTTP request: who calls and what they may, limits, the size of a body; and behind every
answer: the audit log and headers that protect. Plain ASGI."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from agentforge.kit.errors import ForgeError, InvalidInput, NotFound, PermissionDenied, Unauthenticated
from agentforge_gateway.access import audit, sessions
from agentforge_gateway.access.callers import ANYBODY, CALLING, NOBODY, Access, Caller
from agentforge_gateway.access.headers import protect
from agentforge_gateway.access.scopes import OPEN, Asked, route
from agentforge_gateway.dash.render import wants_page
from agentforge_gateway.problems import answer, problem_response

MAX_BODY_BYTES = 4 << 20


class BodyTooLarge(InvalidInput):
    default_reason = "BODY_TOO_LARGE"
    http_status = 413


class Guard:
    """`local_only`: the gateway is open because it listens on loopback, so it answers to loopback's names alone;
    else a page whose name somebody points to 127.0.0.1 could use it."""

    def __init__(self, app: ASGIApp, access: Access, *, local_only: bool = False) -> None:
        self._app = app
        self._access = access
        self._local_only = local_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        sending = _Answer(send, scope)
        asked = route(scope["method"] if scope["type"] == "http" else "WS", scope["path"])
        caller, subject = NOBODY, audit.listening()
        state = scope.setdefault("state", {})
        state["closed"] = self._access.closed
        try:
            caller, receive = await self._let_in(asked, scope, receive)
            with self._access.limited(caller):
                state["caller"] = caller
                CALLING.set(caller)
                state["form_token"] = self._access.sessions.csrf(caller.cookie) if caller.cookie else ""
                await self._app(scope, _bounded(receive), sending)
        except ForgeError as error:
            sending.reason = error.reason
            await _refuse(error, scope, receive, sending)
        finally:
            if asked is not None and asked.changing:
                await asyncio.shield(self._write_down(asked, caller, subject, scope, sending))

    async def _let_in(self, asked: Asked | None, scope: Scope, receive: Receive) -> tuple[Caller, Receive]:
        connection = HTTPConnection(scope)
        headers = connection.headers
        if self._local_only:
            _check_host(headers)
        if asked is None and not self._access.closed:
            raise _nothing_here(scope)
        caller = ANYBODY if asked is not None and asked.scope is OPEN else await self._caller(connection)
        if asked is None:
            raise _nothing_here(scope)  # told only to those who may ask
        caller.need(asked)
        _check_size(headers)
        unsafe = scope["type"] == "websocket" or scope["method"] not in sessions.SAFE
        if unsafe and "authorization" not in headers and not sessions.own_origin(headers, secure=_secure(scope)):
            raise PermissionDenied(
                "the request comes from a page of another site",
                reason="FOREIGN_ORIGIN",
                field="Origin",
                next_step="Ask from the gateway's own pages, or send a bearer token.",
            )
        if caller.cookie and unsafe and scope["type"] == "http":
            receive = await self._check_csrf(caller, headers, scope, receive)
        return caller, receive

    async def _caller(self, connection: HTTPConnection) -> Caller:
        cookie = connection.cookies.get(sessions.COOKIE, "")
        if cookie and "authorization" not in connection.headers and self._access.closed:
            return await self._access.by_cookie(cookie)
        return await self._access.by_header(connection.headers.get("authorization", ""))

    async def _check_csrf(self, caller: Caller, headers: Headers, scope: Scope, receive: Receive) -> Receive:
        given = headers.get(sessions.CSRF_HEADER, "")
        if not given:  # a form without a script has it among its fields
            try:
                body = await Request(scope, _bounded(receive)).body()
            except HTTPException as error:
                raise BodyTooLarge(error.detail) from None
            given = sessions.csrf_of_form(headers.get("content-type", ""), body)
            receive = _replayed(body, receive)
        if not self._access.sessions.same(caller.cookie, given):
            raise PermissionDenied(
                "the request does not carry the session's CSRF token",
                reason="CSRF",
                field=sessions.CSRF_HEADER,
                next_step=f"Send it as X-CSRF-Token, or as the form's field {sessions.CSRF_FIELD}.",
            )
        return receive

    async def _write_down(
        self, asked: Asked, caller: Caller, subject: list[str], scope: Scope, answer: _Answer
    ) -> None:
        client = scope.get("client")
        await self._access.audit.write(
            token_id=caller.token_id, token_name=caller.name, action=asked.action,
            subject=subject[0] if subject else scope["path"],
            outcome=f"{answer.status or 'no answer'}{f' {answer.reason}' if answer.reason else ''}",
            address=client[0] if client else "",
        )  # fmt: skip


class _Answer:
    """Sends on, with protecting headers, and remembers how it went."""

    def __init__(self, send: Send, scope: Scope) -> None:
        self._send = send
        self._scope = scope
        self.status = 0
        self.reason = ""

    async def __call__(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            self.status = message["status"]
            protect(MutableHeaders(scope=message), self._scope["path"], secure=_secure(self._scope))
        await self._send(message)


async def _refuse(error: ForgeError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(problem_response(error))
        return
    request = HTTPConnection(scope)
    response = answer(request, error)
    if isinstance(error, Unauthenticated) and scope["method"] == "GET" and wants_page(request):
        response = RedirectResponse(f"/login?next={quote(scope['path'])}", 303)
    await response(scope, receive, send)


def _check_host(headers: Headers) -> None:
    host = headers.get("host", "").rpartition("]")
    name = f"{host[0]}{host[1]}" if host[1] else host[2].partition(":")[0]
    if name in ("localhost", "[::1]") or name.startswith("127."):
        return
    raise PermissionDenied(
        f"this gateway asks for no token, so it answers on this machine alone, and not as {name[:100]!r}",
        reason="BAD_HOST",
        field="Host",
        next_step="Call it 127.0.0.1 or localhost, or set AGENTFORGE_TOKEN.",
    )


def _check_size(headers: Headers) -> None:
    length = headers.get("content-length", "0")
    if length.isdigit() and int(length[:20]) <= MAX_BODY_BYTES:
        return
    raise BodyTooLarge(
        f"the body has {length[:20]} bytes; at most {MAX_BODY_BYTES:,} are taken",
        next_step="Pass large data as an input on the volume.",
    )


def _nothing_here(scope: Scope) -> NotFound:
    return NotFound(f"there is nothing at {scope['path'][:200]}")


def _secure(scope: Scope) -> bool:
    return bool(scope["scheme"] in ("https", "wss"))


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body once more, for the app; then what comes behind it."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again


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
