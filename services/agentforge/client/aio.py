"""The asyncio client: the same methods as the blocking one, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import grpc

from agentforge.client import channel
from agentforge.client.channel import ClientTls, Following, Inputs
from agentforge.client.errors import forge_error, run_error
from agentforge.client.handshake import explained
from agentforge.kit.errors import ForgeError
from agentforge.kit.records import Record
from agentforge.kit.refs import ArtifactRef
from agentforge.v1 import event_pb2, phase_pb2
from agentforge.v1.phase_pb2_grpc import PhaseServiceStub

if TYPE_CHECKING:
    from agentforge.v1.phase_pb2_grpc import PhaseServiceAsyncStub


class AsyncPhaseClient:
    """Of the service at `target`: "host:port" or "unix:path". Make it inside a running loop; use `async with`."""

    def __init__(
        self, target: str, *, token: str = "", tls: ClientTls | None = None, timeout: float = channel.CALL_S,
        away_s: float = channel.AWAY_S,
    ) -> None:  # fmt: skip
        self.target = target
        self._tls = tls
        self._channel = (
            grpc.aio.secure_channel(target, tls.credentials(), (*channel.OPTIONS, *tls.options))
            if tls
            else grpc.aio.insecure_channel(target, channel.OPTIONS)
        )
        self._stub: PhaseServiceAsyncStub = PhaseServiceStub(self._channel)  # type: ignore[assignment]
        self._metadata = channel.bearer(token)
        self._timeout = timeout
        self._away_s = away_s
        self._reached = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._channel.close()

    async def describe(self) -> phase_pb2.DescribePhaseResponse:
        answer: phase_pb2.DescribePhaseResponse
        answer = await self._call(self._stub.DescribePhase, phase_pb2.DescribePhaseRequest())
        return answer

    async def validate(
        self,
        config: Mapping[str, Any] | None = None,
        *,
        inputs: Inputs = (),
        preset: str = "",
        check_inputs: bool = False,
    ) -> phase_pb2.ValidateConfigResponse:
        request = channel.validate_request(config, inputs, preset, check_inputs)
        answer: phase_pb2.ValidateConfigResponse
        answer = await self._call(self._stub.ValidateConfig, request, channel.START_S)
        return answer

    async def start(
        self,
        run_id: str,
        config: Mapping[str, Any] | None = None,
        inputs: Inputs = (),
        *,
        preset: str = "",
        retry: bool = False,
    ) -> phase_pb2.Run:
        """Idempotent: the same request under the same id is the same run."""
        request = channel.start_request(run_id, config, inputs, preset, retry)
        answer: phase_pb2.StartRunResponse = await self._call(self._stub.StartRun, request, channel.START_S)
        return answer.run

    async def get(self, run_id: str) -> phase_pb2.Run:
        answer: phase_pb2.GetRunResponse
        answer = await self._call(self._stub.GetRun, phase_pb2.GetRunRequest(run_id=run_id))
        return answer.run

    async def list(
        self, limit: int | None = None, states: Sequence[event_pb2.RunState.ValueType] = ()
    ) -> AsyncIterator[phase_pb2.Run]:
        """Newest first, page by page as they are asked for."""
        left, token = limit, ""
        while left is None or left > 0:
            size = 100 if left is None else min(left, 100)
            request = phase_pb2.ListRunsRequest(page_size=size, page_token=token, states=states)
            page: phase_pb2.ListRunsResponse = await self._call(self._stub.ListRuns, request)
            for run in page.runs:
                yield run
            token, left = page.next_page_token, None if left is None else left - len(page.runs)
            if not token:
                return

    async def watch(self, run_id: str, after: int = 0, include_live: bool = True) -> AsyncIterator[Record]:
        """Each event after `after` once, in order, until the run is final, or until the end of the log is reached
        when not `include_live`. A service that goes away is waited for, and asked for the rest."""
        first = self._away_s if self._reached else 0.0
        following = Following(run_id, after, include_live, away_s=self._away_s, away_first_s=first)
        while True:
            call = self._stub.WatchRun(following.request(), metadata=self._metadata)
            try:
                async for response in call:
                    for record in following.take(response):
                        yield record
                    if following.over:
                        return
                return
            except grpc.aio.AioRpcError as error:
                pause = following.pause_after(await self._explained(error))
            finally:
                call.cancel()
            await asyncio.sleep(pause)

    async def cancel(self, run_id: str, reason: str = "") -> phase_pb2.Run:
        """Asks; watch the run to see it stop."""
        request = phase_pb2.CancelRunRequest(run_id=run_id, reason=reason)
        answer: phase_pb2.CancelRunResponse = await self._call(self._stub.CancelRun, request)
        return answer.run

    async def run(
        self,
        run_id: str,
        config: Mapping[str, Any] | None = None,
        inputs: Inputs = (),
        *,
        preset: str = "",
        retry: bool = False,
        on_event: Callable[[Record], None] | None = None,
    ) -> phase_pb2.Run:
        """Start, watch to the end, and give the run that succeeded. Raises RunFailed or RunCancelled for others."""
        started = await self.start(run_id, config, inputs, preset=preset, retry=retry)
        async for record in self.watch(run_id, 0 if on_event else started.last_sequence):
            if on_event:
                on_event(record)
        return await self.result(run_id)

    async def result(self, run_id: str) -> phase_pb2.Run:
        """A run that succeeded; the error of one that did not."""
        run = await self.get(run_id)
        if run.state in (event_pb2.RUN_STATE_FAILED, event_pb2.RUN_STATE_CANCELLED):
            raise run_error(run)
        return run

    async def results(self, run_id: str) -> Sequence[ArtifactRef]:
        """The outputs of a run that succeeded."""
        return [ArtifactRef.from_proto(output) for output in (await self.result(run_id)).outputs]

    async def _call(self, method: Callable[..., Any], request: Any, at_least_s: float = 0.0) -> Any:
        try:
            answer = await method(request, timeout=max(self._timeout, at_least_s), metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise await self._explained(error) from None
        self._reached = True
        return answer

    async def _explained(self, error: grpc.aio.AioRpcError) -> ForgeError:
        ours = forge_error(error, self.target)
        return ours if self._reached else await asyncio.to_thread(explained, ours, self.target, self._tls)
