"""What a phase gets to work with: `run(context, config)` knows nothing else of services, logs and volumes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agentforge.kit import ranks
from agentforge.kit.artifacts import publish
from agentforge.kit.checkpoints import Checkpoints
from agentforge.kit.files import make_directories
from agentforge.kit.inputs import InputPath, Inputs
from agentforge.kit.measure import Measurement
from agentforge.kit.phase import PhaseSpec
from agentforge.kit.progress import ProgressGate
from agentforge.kit.refs import ArtifactRef
from agentforge.kit.rng import Rng
from agentforge.kit.rundir import RunDirectory
from agentforge.kit.stopping import RunStopped, StopRequest

__all__ = ["InputPath", "Inputs", "PhaseContext", "RunStopped", "StopRequest"]


Append = Callable[[str, Mapping[str, Any], int], object]
"""EventLog.append: name, payload, attempt."""


class PhaseContext:
    """One attempt at one run. Its methods may be called from any thread of the worker."""

    def __init__(
        self,
        run: RunDirectory,
        spec: PhaseSpec,
        seed: int,
        inputs: Inputs,
        append: Append,
        attempt: int,
        stop: StopRequest,
        published: Mapping[str, ArtifactRef],
        scratch: Path,
    ) -> None:
        self.run_id = run.run_id
        self.phase = run.phase
        self.home = run.home
        self.attempt = attempt
        self.seed = seed
        self.inputs = inputs
        self.scratch = scratch  # of this attempt alone
        self.checkpoints = Checkpoints(run.checkpoints_path, warn=lambda text: self.log(text, "warning"))
        self._run = run
        self._spec = spec
        self._append = append
        self._stop = stop
        self._published = dict(published)
        self._progress = ProgressGate(lambda report: self._write("progress", report))

    def rng(self, name: str, *counters: int | str) -> Rng:
        """Randomness that depends on the run's seed, the name and the counters, and on nothing else."""
        return Rng(self.seed, name, *counters)

    def progress(self, done: int, total: int = 0, unit: str = "steps", message: str = "") -> None:
        """Say how far it is; `total` 0 means that the end is not known. Cheap enough for every step."""
        self._progress.put({"done": done, "total": total, "unit": unit, "message": message})

    def measure(self, measurement: Measurement) -> None:
        self._say("measurement", {k: v for k, v in asdict(measurement).items() if v is not None})

    def log(self, message: str, level: str = "info") -> None:
        """`level` is debug, info, warning or error."""
        self._say("log", {"level": f"LEVEL_{level.upper()}", "message": message})

    def sample(self, name: str, data: Mapping[str, Any]) -> None:
        """Show something: a text, an answer, a small table. Plain JSON."""
        self._say("sample", {"name": name, "data": dict(data)})

    @property
    def work(self) -> Path:
        """A directory for what is half done and no checkpoint: kept through kills, removed when the run is done."""
        make_directories(self._run.work_path, self.home)
        return self._run.work_path

    @property
    def stop_requested(self) -> bool:
        """Of this rank; what all of them agree on is `check_stop`."""
        return self._stop.asked

    def check_stop(self, save: Callable[[], None] | None = None) -> None:
        """Between two steps: if asked to stop, `save` (write a checkpoint), and leave the phase. All ranks do."""
        if ranks.current().agree(self._stop.asked):
            if save is not None:
                save()
            raise RunStopped

    def wait(self, seconds: float) -> None:
        """Sleep; a request to stop ends it early."""
        self._stop.wait(seconds)

    @contextlib.contextmanager
    def output(self, name: str, kind: str | None = None) -> Iterator[Path]:
        """A directory to write an output into. At the end of the block it is published whole, or not at all."""
        with publish(self._run, name, kind or self._kind_of(name)) as publication:
            yield publication.path
        self._published[name] = publication.ref
        self._say("artifact_produced", {"artifact": publication.ref.to_json()})

    @property
    def published(self) -> Mapping[str, ArtifactRef]:
        """The outputs so far, also those of earlier attempts, so that a resumed run need not make them again."""
        return dict(self._published)

    def flush_progress(self, *, due_only: bool = False) -> None:
        if due_only:
            self._progress.flush_due()
        else:
            self._progress.flush()

    def _kind_of(self, output: str) -> str:
        kinds = {slot.name: slot.kind for slot in self._spec.makes}
        if output in kinds:
            return kinds[output]
        if len(set(kinds.values())) != 1:
            raise ValueError(f"phase {self.phase} makes {sorted(kinds)}: say of which kind output {output!r} is")
        return next(iter(kinds.values()))

    def _say(self, name: str, payload: Mapping[str, Any]) -> None:
        self._progress.flush()  # so that the log tells things in the order in which they happened
        self._write(name, payload)

    def _write(self, name: str, payload: Mapping[str, Any]) -> None:
        self._append(name, payload, self.attempt)
