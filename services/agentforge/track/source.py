"""The event log that is told on: a pipeline run's, or that of one phase that ran by itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Event
from typing import Any

from agentforge.kit.errors import NotFound
from agentforge.kit.events import EventReader, Record
from agentforge.kit.rundir import RunDirectory, RunRequest

PIPELINE = "pipeline"
FINAL = frozenset(f"RUN_STATE_{state}" for state in ("SUCCEEDED", "FAILED", "CANCELLED", "REUSED"))
_POLL_S = 0.2


@dataclass(frozen=True)
class Source:
    home: Path
    run_id: str
    phase: str = PIPELINE

    @cached_property
    def directory(self) -> RunDirectory:
        return RunDirectory(self.home, self.run_id, self.phase)

    @cached_property
    def request(self) -> RunRequest:
        if not self.directory.exists():
            what = "pipeline run" if self.whole else f"run of phase {self.phase}"
            raise NotFound(
                f"there is no {what} {self.run_id!r} in {self.home}",
                reason="UNKNOWN_RUN",
                field="run_id",
                next_step="See `agentforge runs`; for a phase that ran by itself give --phase.",
            )
        return self.directory.request()

    @property
    def whole(self) -> bool:
        """Whether it is the log of a pipeline, with copies of its phases' events."""
        return self.phase == PIPELINE

    @property
    def mark(self) -> str:
        """Tells runs of one id on different volumes apart."""
        return hashlib.sha256(f"{self.run_id}\n{self.request.created}".encode()).hexdigest()

    @property
    def place(self) -> Path:
        """Where its followers keep what is theirs: beside the runs, never in them."""
        return self.home / "track" / (self.run_id if self.whole else f"{self.run_id}~{self.phase}")

    @property
    def order(self) -> Sequence[str]:
        """The phases of the plan."""
        return [each["phase"] for each in self.request.config["plan"]] if self.whole else [self.phase]

    def config_of(self, phase: str) -> dict[str, Any]:
        if not self.whole:
            return dict(self.request.config)
        return next((dict(each["config"]) for each in self.request.config["plan"] if each["phase"] == phase), {})

    def is_end(self, record: Record) -> bool:
        """Whether the record says that the whole of it is final."""
        ours = "" if self.whole else self.phase
        return record["phase"] == ours and record.get("state_changed", {}).get("state") in FINAL

    def follow(self, after: int, stop: Event, idle_s: float) -> Iterator[Record]:
        """What was and what comes, until the run is final, `stop` is set, or for `idle_s` nobody works on it.

        A run that was resumed has final states in the middle of its log: only the last line counts.
        """
        reader, idle = EventReader(self.directory.log_path, after), 0.0
        ended = False
        while not stop.is_set():
            records = reader.poll()
            for record in records:
                yield record
                if "state_changed" in record:
                    ended = self.is_end(record)
            if records:
                idle = 0.0
                continue
            idle = 0.0 if self.directory.is_locked() else idle + _POLL_S
            if ended or idle > idle_s:
                return
            stop.wait(_POLL_S)
