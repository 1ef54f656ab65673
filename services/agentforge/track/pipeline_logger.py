"""PipelineLogger: the parent run at W&B, to which each phase's summary comes as `phase2_evomerge/best_fitness`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentforge.track import names
from agentforge.track.loggers import PhaseLogger
from agentforge.track.mode import Mode


class PipelineLogger(PhaseLogger):
    """The same methods as a phase's logger has, and `create_phase_logger`."""

    def __init__(
        self,
        pipeline_id: str,
        config: Mapping[str, Any] | None = None,
        *,
        run_id: str = "",
        mode: Mode | str = "",
        directory: Path | None = None,
        strict: bool = False,
        checked: bool = False,
    ) -> None:
        super().__init__(
            "pipeline",
            config,
            pipeline_id=pipeline_id,
            run_id=run_id or pipeline_id,
            mode=mode,
            directory=directory,
            strict=strict,
            checked=checked,
        )
        self.pipeline_id = pipeline_id
        self._directory = directory
        self._phases: list[PhaseLogger] = []

    def create_phase_logger(self, phase: str, config: Mapping[str, Any] | None = None) -> PhaseLogger:
        """A child run in this one's group. What it logs shows here as its latest value, under the phase's key."""

        def show(name: str, value: Any) -> None:
            if isinstance(value, int | float | str):
                self.log_summary({f"{logger.key}/{names.short(name, phase)}": value})

        logger = PhaseLogger(
            phase,
            config,
            pipeline_id=self.pipeline_id,
            run_id=f"{self.run_id}~{names.bare(phase)}",
            mode=self.mode,
            directory=self._directory,
            strict=self.strict,
            on_value=show,
            checked=True,
        )
        self._phases.append(logger)
        return logger

    def finish(self, *, failed: bool = False) -> None:
        """The children that are still open end with it."""
        for logger in self._phases:
            logger.finish(failed=failed)
        super().finish(failed=failed)
