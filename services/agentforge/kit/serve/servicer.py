"""PhaseService: seven methods over the run directories of one phase."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from agentforge.kit import state
from agentforge.kit.config import PhaseConfig, resolved
from agentforge.kit.paths import check_run_id
from agentforge.kit.phase import PhaseSpec, Pipeline, Slot
from agentforge.kit.rundir import RunDirectory, RunRequest, config_digest
from agentforge.kit.serve.errors import error_detail, shorten
from agentforge.kit.serve.runs import Runs
from agentforge.kit.serve.validate import Validator
from agentforge.kit.serve.values import to_struct
from agentforge.kit.serve.watch import Tails
from agentforge.kit.supervise import RunSupervisor
from agentforge.v1 import event_pb2, phase_pb2
from agentforge.v1.phase_pb2_grpc import PhaseServiceServicer

Context = Any  # grpc.aio.ServicerContext: what is told through it, the interceptor tells
R = TypeVar("R")
_RETRYABLE = frozenset({state.FAILED, state.CANCELLED})


class PhaseServicer(PhaseServiceServicer):
    """Raises ForgeErrors, which serve.interceptor.Gate turns into statuses. WatchRun yields encoded messages."""

    def __init__(
        self, spec: PhaseSpec, pipeline: Pipeline, home: Path, supervisor: RunSupervisor, tails: Tails
    ) -> None:
        self._spec = spec
        self._pipeline = pipeline
        self._validator = Validator(spec, pipeline, home)
        self._runs = Runs(home, spec.name)
        self._supervisor = supervisor
        self._tails = tails
        self._changes: set[asyncio.Task[Any]] = set()
        self._starting: dict[str, asyncio.Lock] = {}

    async def DescribePhase(
        self, request: phase_pb2.DescribePhaseRequest, context: Context
    ) -> phase_pb2.DescribePhaseResponse:
        spec = self._spec
        return phase_pb2.DescribePhaseResponse(
            name=spec.name,
            summary=spec.summary,
            version=spec.version,
            code_digest=await self._code_digest(),
            takes=[_slot(slot) for slot in spec.takes],
            makes=[_slot(slot) for slot in spec.makes],
            config_schema=to_struct(spec.config.model_json_schema()),
            config_defaults=to_struct(_defaults(spec.config)),
            presets={
                name: to_struct(phases.get(spec.name) or {}) for name, phases in self._pipeline.presets.items()
            },
        )

    async def ValidateConfig(
        self, request: phase_pb2.ValidateConfigRequest, context: Context
    ) -> phase_pb2.ValidateConfigResponse:
        checked = request.check_inputs or bool(request.inputs)
        violations, config = await self._validator.violations(
            request.preset, request.config, request.inputs, inputs=checked
        )
        if violations:
            return phase_pb2.ValidateConfigResponse(violations=[error_detail(v) for v in violations])
        return phase_pb2.ValidateConfigResponse(
            resolved_config=to_struct(config),
            config_digest=config_digest(self._spec.name, await self._code_digest(), config),
        )

    async def StartRun(self, request: phase_pb2.StartRunRequest, context: Context) -> phase_pb2.StartRunResponse:
        return await self._to_the_end(self._start(request))

    async def _start(self, request: phase_pb2.StartRunRequest) -> phase_pb2.StartRunResponse:
        run = self._runs.directory(request.run_id)
        async with self._one_at_a_time(request.run_id):
            created = await self._create(run, request)
            if not created:
                known = await self._runs.get(run)
                name = event_pb2.RunState.Name(known.state)
                if name in state.FINAL and not (request.retry and name in _RETRYABLE):
                    return phase_pb2.StartRunResponse(run=known)
            await self._supervisor.start(run, retry=request.retry)
        return phase_pb2.StartRunResponse(run=await self._runs.get(run), created=created)

    async def GetRun(self, request: phase_pb2.GetRunRequest, context: Context) -> phase_pb2.GetRunResponse:
        return phase_pb2.GetRunResponse(run=await self._runs.get(self._runs.directory(request.run_id)))

    async def ListRuns(self, request: phase_pb2.ListRunsRequest, context: Context) -> phase_pb2.ListRunsResponse:
        runs, token = await self._runs.page(request.page_size, request.page_token, request.states)
        return phase_pb2.ListRunsResponse(runs=runs, next_page_token=token)

    async def WatchRun(self, request: phase_pb2.WatchRunRequest, context: Context) -> AsyncGenerator[bytes]:  # type: ignore[override]
        run = self._existing(request.run_id)
        async with contextlib.aclosing(self._tails.watch(run.log_path, request.after_sequence)) as responses:
            async for response in responses:
                yield response

    async def CancelRun(self, request: phase_pb2.CancelRunRequest, context: Context) -> phase_pb2.CancelRunResponse:
        return await self._to_the_end(self._cancel(request))

    async def _cancel(self, request: phase_pb2.CancelRunRequest) -> phase_pb2.CancelRunResponse:
        run = self._existing(request.run_id)
        async with self._one_at_a_time(request.run_id):
            await self._supervisor.cancel(run, shorten(request.reason, 1000))
        return phase_pb2.CancelRunResponse(run=await self._runs.get(run))

    async def close(self) -> None:
        if self._changes:
            await asyncio.wait(self._changes)
        self._validator.close()

    async def _to_the_end(self, change: Coroutine[Any, Any, R]) -> R:
        """A client that vanishes in the middle leaves no run that was made but never started."""
        task = asyncio.create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen, if nobody waits any more
        return await asyncio.shield(task)

    async def _create(self, run: RunDirectory, request: phase_pb2.StartRunRequest) -> bool:
        """True when this call made the run; AlreadyExists when it was made for another request."""
        config = self._validator.config(request.preset, request.config)
        if run.exists():  # its inputs were checked then; by now they may be gone, and it is the same run still
            inputs = await self._validator.digests(request.inputs)
        else:
            inputs = await self._validator.inputs(request.inputs, config)
        asked = RunRequest(
            run_id=run.run_id,
            phase=run.phase,
            inputs=inputs,
            config=resolved(config),
            code_digest=await self._code_digest(),
            entry=self._pipeline.entry(self._spec.name),
        )
        return await asyncio.to_thread(run.create, asked)

    def _existing(self, run_id: str) -> RunDirectory:
        run = self._runs.directory(run_id)
        run.request()  # raises NotFound when there is none
        return run

    async def _code_digest(self) -> str:
        return await asyncio.to_thread(lambda: self._spec.code_digest)

    @contextlib.asynccontextmanager
    async def _one_at_a_time(self, run_id: str) -> AsyncIterator[None]:
        """Calls about one run follow each other; locks that nobody waits for are dropped."""
        check_run_id(run_id)
        lock = self._starting.setdefault(run_id, asyncio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked() and self._starting.get(run_id) is lock:
                del self._starting[run_id]


def _slot(slot: Slot) -> phase_pb2.Slot:
    return phase_pb2.Slot(
        name=slot.name,
        kind=slot.kind,
        min_count=slot.min_count,
        max_count=slot.max_count or 0,
        description=slot.description,
    )


def _defaults(config: type[PhaseConfig]) -> dict[str, Any]:
    """Of all fields that have one; the others are required."""
    given = {name: field.get_default(call_default_factory=True) for name, field in config.model_fields.items()
             if not field.is_required()}  # fmt: skip
    return resolved(config.model_construct(**given))
