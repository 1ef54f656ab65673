"""The way to the phase services: one channel for each, found by the settings, its errors turned back into ours."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import grpc

from agentforge.client import ClientTls, RenewingChannel, explained, forge_error
from agentforge.kit.errors import ForgeError, NotFound, RunCancelled, Unavailable
from agentforge.kit.serve.values import to_struct
from agentforge.v1 import artifact_pb2, event_pb2, phase_pb2
from agentforge.v1.phase_pb2_grpc import PhaseServiceStub

if TYPE_CHECKING:
    from agentforge.v1.phase_pb2_grpc import PhaseServiceAsyncStub

_CALL_S = 30.0  # deadline of calls that answer at once
_START_S = 600.0  # StartRun and ValidateConfig may hash inputs of gigabytes
_CHANNEL = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),  # a service that comes back is found soon
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.max_receive_message_length", 64 << 20),
)


class Link:
    """One phase service."""

    def __init__(self, name: str, target: str, token: str, tls: ClientTls | None = None) -> None:
        self.name = name
        self.target = target
        self._tls = None if target.startswith("unix:") else tls
        self._channel = RenewingChannel(target, self._tls, _CHANNEL)
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    @property
    def _stub(self) -> PhaseServiceAsyncStub:
        """Made for each call, which costs microseconds: the channel may have been renewed."""
        return PhaseServiceStub(self._channel.current())  # type: ignore[return-value]

    async def describe(self, timeout_s: float = _CALL_S) -> phase_pb2.DescribePhaseResponse:
        async with self._errors():
            return await self._stub.DescribePhase(
                phase_pb2.DescribePhaseRequest(), timeout=timeout_s, metadata=self._metadata
            )

    async def validate(
        self,
        config: Mapping[str, Any],
        *,
        preset: str = "",
        inputs: Sequence[artifact_pb2.Artifact] | None = None,
    ) -> phase_pb2.ValidateConfigResponse:
        """Inputs are checked when they are given."""
        request = phase_pb2.ValidateConfigRequest(
            preset=preset, config=to_struct(config), inputs=inputs or (), check_inputs=inputs is not None
        )
        async with self._errors():
            return await self._stub.ValidateConfig(request, timeout=_START_S, metadata=self._metadata)

    async def start(self, request: phase_pb2.StartRunRequest) -> phase_pb2.StartRunResponse:
        async with self._errors():
            return await self._stub.StartRun(request, timeout=_START_S, metadata=self._metadata)

    async def get(self, run_id: str) -> phase_pb2.Run:
        async with self._errors():
            request = phase_pb2.GetRunRequest(run_id=run_id)
            return (await self._stub.GetRun(request, timeout=_CALL_S, metadata=self._metadata)).run

    async def list(self, request: phase_pb2.ListRunsRequest) -> phase_pb2.ListRunsResponse:
        async with self._errors():
            return await self._stub.ListRuns(request, timeout=_CALL_S, metadata=self._metadata)

    async def cancel(self, run_id: str, reason: str) -> phase_pb2.Run:
        async with self._errors():
            request = phase_pb2.CancelRunRequest(run_id=run_id, reason=reason)
            return (await self._stub.CancelRun(request, timeout=_CALL_S, metadata=self._metadata)).run

    async def watch(self, run_id: str, after: int) -> AsyncGenerator[Sequence[event_pb2.Event], None]:
        """Batches of the run's events, without heartbeats and the catch-up mark; ends when it is final."""
        request = phase_pb2.WatchRunRequest(run_id=run_id, after_sequence=after)
        async with self._errors():
            call = self._stub.WatchRun(request, metadata=self._metadata)
            try:
                async for response in call:
                    yield [event for event in response.events if event.sequence and event.WhichOneof("payload")]
            finally:
                call.cancel()

    async def close(self) -> None:
        await self._channel.close()

    @contextlib.asynccontextmanager
    async def _errors(self) -> AsyncIterator[None]:
        try:
            yield
        except grpc.aio.AioRpcError as error:
            ours = forge_error(error)
            if isinstance(ours, Unavailable | RunCancelled):  # the call was cancelled by the other side, no run
                raise self._unreachable(await asyncio.to_thread(explained, ours, self.target, self._tls)) from None
            raise ours from None

    def _unreachable(self, why: ForgeError) -> Unavailable:
        start = f"Start it (`agentforge serve {self.name}`), or correct AGENTFORGE_PHASES."
        return Unavailable(
            f"the {self.name} service at {self.target} cannot be reached: {why.message or 'no answer'}",
            reason="PHASE_UNREACHABLE",
            field=self.name,
            next_step=why.next_step if why.reason.startswith("TLS_") else start,
        )


class Links:
    """All phases, in pipeline order."""

    def __init__(self, targets: Mapping[str, str], token: str = "", tls: ClientTls | None = None) -> None:
        self._targets = targets
        self._token = token
        self._tls = tls
        self._links: dict[str, Link] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._targets)

    def __getitem__(self, name: str) -> Link:
        if name not in self._targets:
            raise self.unknown(name)
        if name not in self._links:
            self._links[name] = Link(name, self._targets[name], self._token, self._tls)
        return self._links[name]

    def unknown(self, name: str, field: str = "phase") -> ForgeError:
        shown = name if len(name) <= 64 else f"{name[:64]}…"
        near = difflib.get_close_matches(name[:64], self.names, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(self.names) or 'none'}."
        return NotFound(f"there is no phase {shown!r}", reason="UNKNOWN_PHASE", field=field, next_step=hint)

    async def close(self) -> None:
        for link in self._links.values():
            await link.close()
        self._links.clear()
