"""The event log as runs at W&B: a parent for the pipeline, a child for each phase. Fed with records, in order.

The step of W&B's history is the sequence of the event. So the same log told twice is the same history: W&B drops
steps that it has.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from agentforge.kit.events import Record
from agentforge.track.child import Child
from agentforge.track.loggers import PhaseLogger
from agentforge.track.mode import Mode
from agentforge.track.names import phase_key, short
from agentforge.track.pipeline_logger import PipelineLogger
from agentforge.track.source import FINAL, Source
from agentforge.track.wandb_run import files_of


class WandbSink:
    """`opened` hears of each directory that W&B begins to write."""

    def __init__(self, source: Source, mode: Mode, directory: Path, opened: Callable[[Path], None]) -> None:
        self._source = source
        self._mode = mode
        self._directory = directory
        self._opened = opened
        self._parent: PipelineLogger | None = None
        self._children: dict[str, Child] = {}
        self._failed = False
        self._run_id = f"{source.run_id}-{source.mark[:8]}"

    def feed(self, record: Record) -> None:
        if record["phase"] in self._source.order:
            self._phase(record)
        if "state_changed" in record and self._source.is_end(record):
            self._failed = record["state_changed"]["state"] == "RUN_STATE_FAILED"
        if self._source.whole and not record["phase"] and "state_changed" in record:
            state = record["state_changed"]["state"].removeprefix("RUN_STATE_")
            self._pipeline().log_summary({"state": state})

    def finish(self) -> None:
        """Until W&B has it all. What it holds back, it holds back from this process alone."""
        for child in self._children.values():
            child.finish(failed=self._failed)
        if self._parent is not None:
            self._parent.finish(failed=self._failed)

    def _phase(self, record: Record) -> None:
        child = self._child(record["phase"])
        child.feed(record)
        state = record.get("state_changed", {}).get("state")
        if state in FINAL:
            if self._source.whole:
                self._show(record["phase"], child)
            child.finish(failed=state == "RUN_STATE_FAILED")
            del self._children[record["phase"]]  # when it is tried again, its run goes on

    def _show(self, phase: str, child: Child) -> None:
        """What the phase came to, at the parent."""
        key = phase_key(phase)
        shown = {f"{key}/{short(name, phase)}": value for name, value in sorted(child.latest.items())}
        self._pipeline().log_summary({**shown, f"{key}/state": child.state, f"{key}/attempt": child.attempt})

    def _pipeline(self) -> PipelineLogger:
        if self._parent is None:
            self._parent = PipelineLogger(
                self._source.run_id,
                {"plan": {phase: self._source.config_of(phase) for phase in self._source.order}},
                run_id=self._run_id,
                mode=self._mode,
                directory=self._directory,
                strict=True,
                checked=True,
            )
            self._note(self._parent.run)
        return self._parent

    def _child(self, phase: str) -> Child:
        if phase not in self._children:
            if self._source.whole:
                self._pipeline()  # the parent is first in W&B's list
            logger = PhaseLogger(
                phase,
                self._source.config_of(phase),
                pipeline_id=self._source.run_id,
                run_id=f"{self._run_id}~{phase}",
                mode=self._mode,
                directory=self._directory,
                strict=True,
                checked=True,
            )
            self._note(logger.run)
            self._children[phase] = Child(self._source, phase, logger)
        return self._children[phase]

    def _note(self, run: Any) -> None:
        if self._mode is Mode.OFFLINE:
            self._opened(files_of(run))
