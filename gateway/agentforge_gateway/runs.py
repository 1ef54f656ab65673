"""What one can ask the gateway about pipeline runs. REST and gRPC are two faces of this."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence

from agentforge.kit.errors import AlreadyExists, FailedPrecondition, NotFound
from agentforge.kit.paths import check_run_id
from agentforge.kit.rundir import RunDirectory, RunRequest
from agentforge.track.traceparent import to_journal
from agentforge_gateway.fold import new_run, read_run
from agentforge_gateway.journal import PIPELINE, Journal
from agentforge_gateway.models import ErrorDetail, PipelineSpec, Plan, PlannedPhase, Run, State
from agentforge_gateway.plan import Planner, refusal
from agentforge_gateway.scheduler import Scheduler
from agentforge_gateway.sequencer import Surroundings
from agentforge_gateway.tail import Item, Tails


class Runs:
    def __init__(self, around: Surroundings, scheduler: Scheduler, tails: Tails, heartbeat_s: float) -> None:
        self._around = around
        self._scheduler = scheduler
        self._tails = tails
        self._heartbeat_s = heartbeat_s
        self._planner = Planner(around.links, around.home)

    async def plan(self, spec: PipelineSpec) -> Plan:
        """Everything that a start would check, and nothing else."""
        _, phases, violations = await self._planner.plan(spec)
        details = [
            ErrorDetail(reason=v.reason, message=v.message, field=v.field, next_step=v.next_step)
            for v in violations
        ]
        return Plan(plan=phases, violations=details)

    async def start(self, run_id: str, spec: PipelineSpec, traceparent: str | None = None) -> tuple[Run, bool]:
        """Idempotent: the same request under the same id gives the same run, and False.

        `traceparent`, the caller's trace, is no part of the request: it is written into the journal.
        """
        directory = self._directory(run_id)
        known = await self._around.store.get(run_id)
        if not directory.exists():
            whole, phases, violations = await self._planner.plan(spec)
            if violations:
                raise refusal(violations)
            if await asyncio.to_thread(self._create, directory, whole, phases):
                return await self._queue(directory, traceparent), True
        request = await asyncio.to_thread(directory.request)
        if not _same(spec, PipelineSpec.model_validate(request.config["spec"])):
            raise AlreadyExists(
                f"run {run_id!r} exists, and it was asked for something else",
                field="run_id",
                next_step="Choose another run id, or ask for exactly the same.",
            )
        if known is None:  # its gateway died before it could write this down
            await self._around.store.add((await asyncio.to_thread(read_run, request, directory.log_path)).run)
            self._scheduler.wake(run_id)
        return await self.get(run_id), False

    async def get(self, run_id: str) -> Run:
        check_run_id(run_id)
        live = await self._scheduler.live(run_id)
        if live is not None:
            return live
        run = await self._around.store.get(run_id)
        if run is None:
            raise _unknown(run_id)
        directory = self._directory(run_id)
        if run.state.final or not directory.exists():
            return run
        # Another gateway may be at it. Its log is ahead of the row by a moment, and watchers have seen the log.
        return (await asyncio.to_thread(lambda: read_run(directory.request(), directory.log_path))).run

    async def page(self, size: int = 0, token: str = "", states: Sequence[State] = ()) -> tuple[list[Run], str]:
        return await self._around.store.page(size, token, states)

    async def cancel(self, run_id: str, reason: str = "") -> Run:
        """Ask the run to stop; what has ended stays as it is."""
        run = await self.get(run_id)
        if not run.state.final:
            await asyncio.to_thread(self._directory(run_id).request_cancel, reason or "cancelled by its user")
            self._scheduler.wake(run_id)
        return await self.get(run_id)

    async def resume(self, run_id: str) -> Run:
        """Queue a run that failed or was cancelled once more. One that is under way already stays so."""
        run = await self.get(run_id)
        if not run.state.final:
            return run
        if run.state is State.SUCCEEDED:
            raise FailedPrecondition(
                f"run {run_id!r} has succeeded: there is nothing to go on with",
                reason="ALREADY_DONE",
                field="run_id",
                next_step="Start a new run; what did not change is reused.",
            )
        directory = self._directory(run_id)
        if not directory.exists():
            raise _unknown(run_id)
        lock = await self._locked(directory)
        try:
            journal = await Journal.open(directory, self._around.store, self._tails)
            try:
                if journal.run.state in (State.FAILED, State.CANCELLED):
                    await asyncio.to_thread(directory.clear_cancel)
                    await journal.say(State.QUEUED, "resumed")
            finally:
                await journal.close()
        finally:
            os.close(lock)
        self._scheduler.wake(run_id)
        return journal.run

    async def watch(self, run_id: str, after: int) -> AsyncGenerator[Item, None]:
        """Look the run up now; the events come when they are asked for."""
        await self.get(run_id)
        return self._tails.watch(self._directory(run_id).log_path, "", after, self._heartbeat_s)

    def _directory(self, run_id: str) -> RunDirectory:
        check_run_id(run_id)
        return RunDirectory(self._around.home, run_id, PIPELINE)

    def _create(self, directory: RunDirectory, spec: PipelineSpec, phases: Sequence[PlannedPhase]) -> bool:
        config = {"spec": spec.model_dump(mode="json"), "plan": [phase.model_dump(mode="json") for phase in phases]}
        request = RunRequest(directory.run_id, PIPELINE, (), config, code_digest="", entry="")
        try:
            return directory.create(request)
        except AlreadyExists:  # somebody else was faster; start() compares the specs, which is what counts
            return False

    async def _queue(self, directory: RunDirectory, traceparent: str | None) -> Run:
        lock = await asyncio.to_thread(directory.try_lock)
        if lock is None:  # another gateway found it and has begun
            run = new_run(await asyncio.to_thread(directory.request))
            await self._around.store.add(run)
            return run
        try:
            journal = await Journal.open(directory, self._around.store, self._tails)
            try:
                if journal.run.last_sequence == 0:
                    await journal.say(State.QUEUED)
                    if trace := to_journal(traceparent):
                        await journal.write(trace)
            finally:
                await journal.close()
        finally:
            os.close(lock)
        self._scheduler.wake(directory.run_id)
        return journal.run

    async def _locked(self, directory: RunDirectory) -> int:
        """The lock is free as soon as the sequencer has written its last word."""
        for _ in range(50):
            lock = await asyncio.to_thread(directory.try_lock)
            if lock is not None:
                return lock
            await asyncio.sleep(0.02)
        raise FailedPrecondition(
            f"run {directory.run_id!r} is being worked on by another gateway",
            reason="RUN_LOCKED",
            field="run_id",
            next_step="Wait a moment, then look at its state.",
        )


def _same(asked: PipelineSpec, known: PipelineSpec) -> bool:
    """Equal, where a digest that was not given matches any."""
    if len(asked.inputs) != len(known.inputs):
        return False
    inputs = [
        a.model_copy(update={"sha256": a.sha256 or k.sha256, "size_bytes": k.size_bytes})
        for a, k in zip(asked.inputs, known.inputs, strict=True)
    ]
    return asked.model_copy(update={"inputs": inputs}) == known


def _unknown(run_id: str) -> NotFound:
    return NotFound(
        f"there is no run {run_id!r}", reason="UNKNOWN_RUN", field="run_id", next_step="See GET /v1/runs."
    )
