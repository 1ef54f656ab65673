"""The gRPC service: what clients ask, checked, answered token by token."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import grpc

from .errors import ContextFull, EdgeError
from .generate import Engine, Piece, Session
from .messages import SERVICE, Messages
from .metrics import Metrics
from .sampling import Sampling
from .text import Text

log = logging.getLogger(__name__)
MOST_STOPS, LONGEST_STOP = 16, 256


class Limits(NamedTuple):
    max_tokens: int = 1024
    default_tokens: int = 128
    concurrent: int = 4  # answers at once; they take turns, token by token


class Gone(Exception):
    """The client hung up or its deadline passed: nobody waits for the rest."""


class EdgeService:
    def __init__(self, engine: Engine, text: Text, messages: Messages, metrics: Metrics, limits: Limits) -> None:
        self.engine, self.text, self.messages, self.metrics, self.limits = engine, text, messages, metrics, limits
        self.info: Any = messages.GetInfoResponse(
            context=engine.graph.context or 0, max_tokens=limits.max_tokens, max_concurrent=limits.concurrent
        )
        self._places = threading.BoundedSemaphore(limits.concurrent)

    def handlers(self) -> grpc.GenericRpcHandler:
        made = self.messages
        methods = {
            "Generate": grpc.unary_stream_rpc_method_handler(
                self.generate, made.GenerateRequest.FromString, made.GenerateResponse.SerializeToString
            ),
            "GetInfo": grpc.unary_unary_rpc_method_handler(
                self.get_info, made.GetInfoRequest.FromString, made.GetInfoResponse.SerializeToString
            ),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def get_info(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self.info

    def generate(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        faults = self.faults(request)
        if faults:
            self._refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "; ".join(faults))
        if not self._places.acquire(blocking=False):
            words = f"{self.limits.concurrent} answers are being generated already: try again later"
            self._refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, words)
        try:
            yield from self._answer(request, context)
        finally:
            self._places.release()

    def faults(self, request: Any) -> list[str]:
        """All that is wrong with a request and can be seen without running anything."""
        found = _sampling(request).faults()
        if not 0 <= request.max_tokens <= self.limits.max_tokens:
            found.append(f"max_tokens must be between 0 and {self.limits.max_tokens}, not {request.max_tokens}")
        if len(request.stop) > MOST_STOPS or any(not 0 < len(each) <= LONGEST_STOP for each in request.stop):
            found.append(f"stop takes at most {MOST_STOPS} strings of 1 to {LONGEST_STOP} characters")
        if not request.prompt:
            return [*found, "prompt is empty"]
        size, room = len(self.text.encode(request.prompt)), self.engine.graph.context
        if room is not None and size >= room:
            found.append(f"prompt has {size} tokens, and with an answer the model's context holds {room}")
        return found

    def _refuse(self, context: grpc.ServicerContext, status: grpc.StatusCode, words: str) -> None:
        self.metrics.refused(status.name)
        context.abort(status, words)

    def _answer(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        session = Session(self.engine._replace(step=self._step_while(context)), self.text)
        status, words = (
            grpc.StatusCode.CANCELLED,
            "",
        )  # unless we get to the end: the stream may be closed from outside
        self.metrics.began()
        try:
            for piece in session.generate(
                request.prompt, request.max_tokens or self.limits.default_tokens, _sampling(request), request.stop
            ):
                if piece.ids and session.stats.steps:
                    self.metrics.token(session.stats.steps[-1])
                yield self._response(piece, session)
            status = grpc.StatusCode.OK
        except Gone:
            log.info("a client went away after %d tokens", session.stats.tokens)
        except ContextFull as error:
            status, words = grpc.StatusCode.INVALID_ARGUMENT, str(error)
        except EdgeError as error:
            status, words = grpc.StatusCode.INTERNAL, str(error)
        except Exception as error:
            log.exception("an answer failed")
            status, words = grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}"
        finally:
            self.metrics.ended(status.name, session.stats.prompt_tokens, session.stats.tokens)
        if status is not grpc.StatusCode.OK:
            context.abort(status, words)

    def _step_while(self, context: grpc.ServicerContext) -> Any:
        @contextmanager
        def step() -> Iterator[None]:
            if not context.is_active():
                raise Gone
            shared: AbstractContextManager[object] = self.engine.step()
            with shared:
                yield

        return step

    def _response(self, piece: Piece, session: Session) -> Any:
        response = self.messages.GenerateResponse(text=piece.text, token_ids=piece.ids)
        if piece.finish:
            stats = session.stats
            response.finish_reason = self.messages.finish(piece.finish)
            response.stats.prompt_tokens, response.stats.tokens = stats.prompt_tokens, stats.tokens
            response.stats.seconds_to_first_token = stats.to_first_token
            response.stats.seconds_after_first_token = sum(stats.steps)
        return response


def _sampling(request: Any) -> Sampling:
    return Sampling(request.temperature, request.top_k, request.top_p, request.seed)
