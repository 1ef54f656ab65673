"""One place around every method: who may call, what bytes are a request, and how a failure is told.

Requests arrive here as raw bytes, because grpc answers INTERNAL by itself to bytes that its deserializer refuses.
"""

from __future__ import annotations

import contextlib
import hmac
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from agentforge.kit.errors import ForgeError, InvalidInput, Unauthenticated
from agentforge.kit.serve.errors import abort, unexpected

_HEALTH = "/grpc.health.v1.Health/"
Context = Any  # grpc.aio.ServicerContext of whatever method
Handler = Any  # grpc.RpcMethodHandler, whose stubs name no behaviours
Behaviour = Callable[[Any, Context], Any]


class Gate(grpc.aio.ServerInterceptor):
    """Checks the bearer token when one is set (health stays open, for probes), parses, and translates errors."""

    def __init__(self, token: str = "") -> None:
        self._expected = f"Bearer {token}".encode() if token else b""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        handler = await continuation(handler_call_details)
        if handler is None:
            return None  # grpc says UNIMPLEMENTED
        method = str(handler_call_details.method)
        refusal = None if method.startswith(_HEALTH) else self._refusal(handler_call_details)
        return _guarded(handler, method, refusal)

    def _refusal(self, details: grpc.HandlerCallDetails) -> ForgeError | None:
        if not self._expected:
            return None
        metadata: Any = details.invocation_metadata or ()
        given = next((value for key, value in metadata if key == "authorization"), "")
        if hmac.compare_digest(given.encode() if isinstance(given, str) else given, self._expected):
            return None
        what = "the bearer token is wrong" if given else "a bearer token is needed"
        return Unauthenticated(
            what, field="authorization", next_step="Set AGENTFORGE_TOKEN to the token of the service."
        )


def _guarded(handler: Handler, method: str, refusal: ForgeError | None) -> Handler:
    """The same method, taking raw bytes, behind the refusal, with its errors told."""
    shapes = (handler.unary_unary, handler.unary_stream, handler.stream_unary, handler.stream_stream)
    behaviour: Behaviour = next(shape for shape in shapes if shape is not None)
    parse = _parser(handler.request_deserializer, method)

    async def unary(raw: Any, context: Context) -> Any:
        async with _errors_told(context, method, refusal):
            return await behaviour(_parsed(parse, raw), context)

    async def stream(raw: Any, context: Context) -> None:
        async with _errors_told(context, method, refusal):
            if not inspect.isasyncgenfunction(behaviour):  # Health.Watch writes by itself
                await behaviour(_parsed(parse, raw), context)
                return
            # Closed here and now when the client vanishes, not when the garbage collector comes by.
            async with contextlib.aclosing(behaviour(_parsed(parse, raw), context)) as responses:
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
async def _errors_told(context: Context, method: str, refusal: ForgeError | None) -> AsyncIterator[None]:
    try:
        if refusal:
            raise refusal
        yield
    except ForgeError as error:
        await abort(context, error)
    except grpc.aio.AbortError:
        raise
    except Exception as error:
        await abort(context, unexpected(error, method))
