"""Brings one pipeline run to its end, phase by phase. Whoever makes one holds the LOCK of the run's directory.

It keeps nothing that is not in the run's log, so it may be killed at any instant: the next one reads the log and
goes on with the same calls, which are idempotent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from pathlib import Path

from agentforge.kit.errors import (
    DiskFull,
    ForgeError,
    NotFound,
    ResourceExhausted,
    RunCancelled,
    RunFailed,
    Unavailable,
)
from agentforge.kit.events import from_proto
from agentforge.kit.rundir import RunDirectory
from agentforge.kit.serve.errors import unexpected
from agentforge.kit.serve.values import to_struct
from agentforge.v1 import phase_pb2
from agentforge_gateway.flow import choose_inputs
from agentforge_gateway.fold import REUSED_FROM
from agentforge_gateway.journal import Journal
from agentforge_gateway.links import Link, Links
from agentforge_gateway.models import Artifact, PhaseRun, PlannedPhase, State
from agentforge_gateway.patience import Cancellation, Patience
from agentforge_gateway.plan import artifact_to_proto, refusal, said
from agentforge_gateway.reuse import find_reusable, key_of_finished, reuse_key
from agentforge_gateway.store import Store

_DONE = (State.SUCCEEDED, State.REUSED)


@dataclass(frozen=True)
class Surroundings:
    """What all sequencers of a gateway share."""

    home: Path
    links: Links
    store: Store
    unreachable_timeout_s: float


class Sequencer:
    def __init__(self, journal: Journal, around: Surroundings) -> None:
        self.journal = journal
        self.cancellation = Cancellation(journal)
        self._around = around
        self._patience = Patience(journal, self.cancellation, around.home, around.unreachable_timeout_s)

    async def run(self) -> None:
        """Ends when the run is final. Cancelling the task leaves the run as it is, for the next gateway."""
        if self.journal.run.state.final:  # the gateway before died between its last event and the database
            await self._remember_keys()
            await self.journal.save()
            return
        if self.journal.run.last_sequence == 0:  # … or before its first
            await self.journal.say(State.QUEUED)
        self.journal.fold.attempt += 1
        self.cancellation.look()
        async with _background(self.cancellation.poll()):
            state, reason, error = await self._outcome()
        await self.journal.say(state, reason, error)

    async def _outcome(self) -> tuple[State, str, ForgeError | None]:
        try:
            if not self.cancellation:
                await self.journal.say(State.RUNNING)
            for planned in self.journal.run.plan:
                if self.journal.run.phase(planned.phase).state not in _DONE:
                    await self._phase(planned)
        except RunCancelled as stop:
            return State.CANCELLED, stop.message, None
        except ForgeError as error:
            return State.FAILED, error.message, error
        except Exception as error:
            ours = unexpected(error, f"the sequencing of run {self.journal.run.run_id}")
            return State.FAILED, ours.message, ours
        return State.SUCCEEDED, "", None

    async def _phase(self, planned: PlannedPhase) -> None:
        """Reuse, or start and watch to the end. Returns when the phase has succeeded."""
        link = self._around.links[planned.phase]
        phase = self.journal.run.phase(planned.phase)
        if self._may_stop(phase):
            raise RunCancelled(self.cancellation.reason)
        if not self.cancellation:
            inputs = self._inputs(planned)
            answer = await self._patience.call(link, lambda: link.validate(planned.config))
            if answer.violations:
                raise refusal(said(answer))
            key = reuse_key(planned.phase, inputs, answer.config_digest)
            if phase.state is None and not self.journal.run.spec.no_reuse and await self._reuse(phase, key):
                return
            if self._may_stop(phase):
                raise RunCancelled(self.cancellation.reason)
            await self._start(link, planned, inputs)
        async with _background(self.cancellation.pass_on(link)):
            await self._patience.call(link, lambda: self._copy_all(link))
        self._judge(phase)
        await self._remember_keys()

    def _may_stop(self, phase: PhaseRun) -> bool:
        """Cancelled, and the phase is not at work: it was never asked to, or it has ended."""
        if not self.cancellation:
            return False
        ended = phase.state is not None and phase.state.final
        return ended or not RunDirectory(self._around.home, self.journal.run.run_id, phase.phase).exists()

    def _inputs(self, planned: PlannedPhase) -> list[Artifact]:
        run = self.journal.run
        made = [run.spec.inputs]
        for earlier in run.phases:
            if earlier.phase == planned.phase:
                break
            made.append(earlier.outputs)
        return choose_inputs(planned.takes, made)

    async def _reuse(self, phase: PhaseRun, key: str) -> bool:
        async def warn(message: str) -> None:
            await self.journal.note(message, phase=phase.phase)

        store, home, run_id = self._around.store, self._around.home, self.journal.run.run_id
        found = await find_reusable(store, home, key, run_id, warn)
        if found is None:
            return False
        outputs = [("artifact_produced", {"artifact": artifact.model_dump()}) for artifact in found.outputs]
        numbers = [("measurement", m.model_dump(exclude_none=True)) for m in found.measurements]
        end = ("state_changed", {"state": State.REUSED.value, "reason": REUSED_FROM + found.reused_from})
        await self.journal.write([*numbers, *outputs, end], phase=phase.phase)
        return True

    async def _start(self, link: Link, planned: PlannedPhase, inputs: list[Artifact]) -> None:
        request = phase_pb2.StartRunRequest(
            run_id=self.journal.run.run_id,
            config=to_struct(planned.config),
            inputs=[artifact_to_proto(artifact) for artifact in inputs],
            retry=await self._wants_retry(link),
        )
        await self._patience.call(link, lambda: link.start(request))

    async def _wants_retry(self, link: Link) -> bool:
        """Once for each resume: not if the phase has ended anew since the end that the log knows of."""
        if self.journal.run.phase(link.name).state not in (State.FAILED, State.CANCELLED):
            return False
        try:
            there = await self._patience.call(link, lambda: link.get(self.journal.run.run_id))
        except NotFound:
            return False
        return there.last_sequence <= self.journal.fold.copied[link.name]

    async def _copy_all(self, link: Link) -> None:
        """Copy the phase's events until it is final."""
        copied = self.journal.fold.copied
        try:
            async with contextlib.aclosing(link.watch(self.journal.run.run_id, copied[link.name])) as batches:
                async for batch in batches:
                    await self._patience.heard(link)
                    await self.journal.copy(link.name, [from_proto(event) for event in batch])
        except DiskFull:
            raise  # of this gateway's own log
        except ResourceExhausted as overflow:  # the service let go of a slow watcher
            raise Unavailable(overflow.message, field=link.name) from None
        state = self.journal.run.phase(link.name).state
        if state is None or not state.final:
            raise Unavailable(f"the events of {link.name} ended before its run did", field=link.name)

    def _judge(self, phase: PhaseRun) -> None:
        if phase.state in _DONE:
            return
        if phase.state is State.CANCELLED:
            raise RunCancelled(self.cancellation.reason or f"phase {phase.phase} was cancelled")
        if phase.error is None:
            raise RunFailed(f"phase {phase.phase} ended as {phase.state} and did not say why", field=phase.phase)
        raise RunFailed(
            f"phase {phase.phase} failed: {phase.error.message}",
            reason=phase.error.reason,
            field=f"{phase.phase}.{phase.error.field}" if phase.error.field else phase.phase,
            next_step=phase.error.next_step or f"See the log of phase {phase.phase}, then resume the run.",
        )

    async def _remember_keys(self) -> None:
        """Under which keys the finished phases may be reused; saved with the next state."""
        run = self.journal.run
        for phase in run.phases:
            if phase.state is State.SUCCEEDED and phase.phase not in self.journal.reuse_keys:
                key = await asyncio.to_thread(key_of_finished, self._around.home, run.run_id, phase.phase)
                self.journal.reuse_keys[phase.phase] = key


@contextlib.asynccontextmanager
async def _background(work: Awaitable[None]) -> AsyncIterator[None]:
    """Let it run beside the block, and end with it."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()):
            raise error
