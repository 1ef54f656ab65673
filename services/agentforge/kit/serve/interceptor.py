"""One place around every method: who may call, what bytes are a request, and how a failure is told.

Requests arrive here as raw bytes, because grpc answers INTERNAL by itself to bytes that its deserializer refuses.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from agentforge.kit.errors import ForgeError, InvalidInput, Unauthenticated
from agentforge.kit.serve.errors import abort, unexpected

_HEALTH = "/grpc.health.v1.Health/"
Context = Any  # grpc.aio.ServicerContext of whatever method
Handler = Any  # grpc.RpcMethodHandler, whose stubs name no behaviours
Behaviour = Callable[[Any, Context], Any]


Observe = Callable[[str, str, float], None]  # method, status code, seconds


@dataclass(slots=True)
class Call:
    """One call, as it is let in: `request` is there once its bytes are parsed, of a method that takes one."""

    method: str
    metadata: Mapping[str, str | bytes]
    peer: str
    request: Any = None


# Around a whole call, streams included. Raises a ForgeError for a caller who may not, and sees how the call ended.
Admit = Callable[[Call], contextlib.AbstractAsyncContextManager[None]]


class Gate(grpc.aio.ServerInterceptor):
    """Checks who calls (health stays open, for probes), parses, and translates errors.

    `token`: the bearer token that callers must present. `admit`: another check instead of it.
    """

    def __init__(self, token: str = "", *, admit: Admit | None = None, observe: Observe | None = None) -> None:
        self._expected = f"Bearer {token}".encode() if token else b""
        self._admit = admit or self._token_checked
        self._observe = observe

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        handler = await continuation(handler_call_details)
        if handler is None:
            return None  # grpc says UNIMPLEMENTED
        method = str(handler_call_details.method)
        return _guarded(handler, method, self._admit if not method.startswith(_HEALTH) else _open, self._observe)

    @contextlib.asynccontextmanager
    async def _token_checked(self, call: Call) -> AsyncIterator[None]:
        if self._expected:
            given = call.metadata.get("authorization", b"")
            if not hmac.compare_digest(given.encode() if isinstance(given, str) else given, self._expected):
                what = "the bearer token is wrong" if given else "a bearer token is needed"
                raise Unauthenticated(
                    what, field="authorization", next_step="Set AGENTFORGE_TOKEN to the token of the service."
                )
        yield


@contextlib.asynccontextmanager
async def _open(call: Call) -> AsyncIterator[None]:
    yield


def _guarded(handler: Handler, method: str, admit: Admit, observe: Observe | None) -> Handler:
    """The same method, taking raw bytes, for callers that are let in, with its errors told."""
    shapes = (handler.unary_unary, handler.unary_stream, handler.stream_unary, handler.stream_stream)
    behaviour: Behaviour = next(shape for shape in shapes if shape is not None)
    parse = _parser(handler.request_deserializer, method)

    @contextlib.asynccontextmanager
    async def around(raw: Any, context: Context) -> AsyncIterator[Any]:
        metadata: dict[str, str | bytes] = {}
        for key, value in context.invocation_metadata() or ():
            metadata.setdefault(key, value)
        call = Call(method, metadata, context.peer())
        async with _errors_told(context, method, observe), admit(call):
            call.request = _parsed(parse, raw)
            yield call.request

    async def unary(raw: Any, context: Context) -> Any:
        async with around(raw, context) as request:
            return await behaviour(request, context)

    async def stream(raw: Any, context: Context) -> None:
        async with around(raw, context) as request:
            if not inspect.isasyncgenfunction(behaviour):  # Health.Watch writes by itself
                await behaviour(request, context)
                return
            # Closed here and now when the client vanishes, not when the garbage collector comes by.
            async with contextlib.aclosing(behaviour(request, context)) as responses:
                async for response in responses:
                    await context.write(response)

    make = getattr(
        grpc,
        f"{'stream' if handler.request_streaming else 'unary'}_"
        f"{'stream' if handler.response_streaming else 'unary'}_rpc_method_handler",
    )
    return make(stream if handler.response_streaming else unary, None, _serializer(handler.response_serializer))


def _serializer(serialize: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """A method may give its response encoded: WatchRun encodes events once for all watchers."""
    return lambda response: response if isinstance(response, bytes) else serialize(response)


def _parsed(parse: Callable[[bytes], Any], raw: bytes | AsyncIterator[bytes] | None) -> Any:
    if raw is None or isinstance(raw, bytes):
        return parse(raw or b"")
    return (parse(one) async for one in raw)


def _parser(deserialize: Callable[[bytes], Any], method: str) -> Callable[[bytes], Any]:
    def parse(raw: bytes) -> Any:
        try:
            return deserialize(raw)
        except DecodeError:
            raise InvalidInput(
                f"the {len(raw)} bytes sent to {method} are no message of its request type",
                reason="MALFORMED_MESSAGE",
                next_step="Generate the client from proto/agentforge/v1, or look the types up by reflection.",
            ) from None

    return parse


@contextlib.asynccontextmanager
async def _errors_told(context: Context, method: str, observe: Observe | None) -> AsyncIterator[None]:
    began, code = time.monotonic(), "OK"
    try:
        yield
    except ForgeError as error:
        code = error.grpc_code
        await abort(context, error)
    except grpc.aio.AbortError:  # Health of a service that is not here
        code = _code(context)
        raise
    except asyncio.CancelledError:
        code = "CANCELLED"
        raise
    except Exception as error:
        code = "INTERNAL"
        await abort(context, unexpected(error, method))
    finally:
        if observe is not None:
            observe(method, code, time.monotonic() - began)


def _code(context: Context) -> str:
    code = context.code()
    return next((one.name for one in grpc.StatusCode if code in (one, one.value[0])), "UNKNOWN")
