"""Measuring an experiment again: each trial in a fresh interpreter and recorded at once.

The record that was there stays until the new one is whole.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentforge.kit import clock
from agentforge.kit.errors import InvalidInput, RunFailed
from agentforge.kit.evidence import Experiment, Trial
from agentforge.kit.files import disk_errors
from agentforge.kit.phase import PhaseSpec
from agentforge.kit.recorded import Record, code_digest, machine, own_place, packaged_place, plain, version

Tell = Callable[[str], None]
_POLL_S = 0.05
_GRACE_S = 60.0  # a trial that runs a phase cancels it first


def remeasure(spec: PhaseSpec, experiment: Experiment, *, jobs: int, tell: Tell) -> Path:
    """The new record's place. Interrupted, the next call goes on with what is finished, if nothing changed."""
    trials = _distinct(experiment)
    place = _place(spec, experiment, tell)
    with disk_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f"{place.name}.part")
    done = _kept(spec, experiment, trials, part, tell)
    earlier = Record.read(place)
    took = f"; all took {earlier.seconds:.0f} s on {earlier.date[:10]}" if earlier is not None else ""
    tell(f"{experiment.name}: {len(trials) - len(done)} of {len(trials)} trials to measure{took}")

    def finish(trial: Trial, measured: dict[str, Any]) -> None:
        done[trial.key] = measured
        _record(spec, experiment, trials, done).write(part)
        tell(f"{experiment.name}: {len(done)}/{len(trials)}  {trial.key}  {measured['seconds']:.1f} s")

    _measure([t for t in trials if t.key not in done], _Starter(spec, experiment, jobs), jobs, finish)
    _record(spec, experiment, trials, done).write(place)
    part.unlink(missing_ok=True)
    return place


def _distinct(experiment: Experiment) -> list[Trial]:
    trials = experiment.load().trials()
    if not trials or len({trial.key for trial in trials}) < len(trials):
        raise ValueError(f"{experiment.module}: trials need keys of their own, and there must be one")
    return trials


def _place(spec: PhaseSpec, experiment: Experiment, tell: Tell) -> Path:
    """In the package, where that can be written; else on the volume."""
    packaged = packaged_place(experiment)
    nearest = next(parent for parent in packaged.parents if parent.exists())
    if os.access(nearest, os.W_OK):
        return packaged
    own = own_place(spec, experiment)
    tell(f"{experiment.name}: {nearest} is not writable; recording into {own}")
    return own


def _kept(
    spec: PhaseSpec, experiment: Experiment, trials: Sequence[Trial], part: Path, tell: Tell
) -> dict[str, dict[str, Any]]:
    """Finished trials of an interrupted call: those of the same arguments, code and machine."""
    record = Record.read(part)
    if record is None:
        return {}
    code, asked = code_digest(spec, experiment), {trial.key: plain(trial.arguments) for trial in trials}
    kept = {
        key: trial
        for key, trial in record.trials.items()
        if record.machine == machine() and trial["code"] == code and trial["arguments"] == asked.get(key)
    }
    tell(f"{experiment.name}: goes on with {len(kept)} trials of an interrupted measuring")
    if dropped := len(record.trials) - len(kept):
        tell(f"{experiment.name}: {dropped} others are measured again: code, arguments or machine changed since")
    return kept


def _record(
    spec: PhaseSpec, experiment: Experiment, trials: Sequence[Trial], done: dict[str, dict[str, Any]]
) -> Record:
    ordered = {trial.key: done[trial.key] for trial in trials if trial.key in done}
    return Record(spec.name, experiment.name, clock.now()[:19] + "Z", version(), machine(), ordered)


def _measure(
    trials: Sequence[Trial], start: _Starter, jobs: int, finish: Callable[[Trial, dict[str, Any]], None]
) -> None:
    """`jobs` at a time. Whatever ends this early ends the trials at work as well."""
    waiting, running = list(trials), list[_Running]()
    with tempfile.TemporaryDirectory(prefix="af-evidence-") as scratch:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    running.append(start(waiting.pop(0), Path(scratch)))
                time.sleep(_POLL_S)
                for each in [each for each in running if each.process.poll() is not None]:
                    running.remove(each)
                    finish(each.trial, each.result())
        finally:
            for each in running:
                each.interrupt()
            for each in running:
                each.wait()


@dataclass(frozen=True)
class _Running:
    trial: Trial
    process: subprocess.Popen[bytes]
    out: Path
    log: Path

    def result(self) -> dict[str, Any]:
        if self.process.returncode or not self.out.exists():
            said = self.log.read_text(errors="replace").strip().splitlines()
            last = said[-1] if said else f"exit code {self.process.returncode}"
            message = f"trial {self.trial.key} failed: {last}"
            step = f"All that it printed is in {self.log}. Finished trials are kept: the same command goes on."
            raise RunFailed(message, reason="TRIAL_FAILED", field=self.trial.key, next_step=step)
        self.log.unlink()
        measured: dict[str, Any] = json.loads(self.out.read_bytes())
        return measured

    def interrupt(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()  # the trial sees it and interrupts itself

    def wait(self) -> None:
        try:
            self.process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.unlink(missing_ok=True)


class _Starter:
    def __init__(self, spec: PhaseSpec, experiment: Experiment, jobs: int) -> None:
        if jobs < 1:
            raise InvalidInput(f"{jobs} jobs measure nothing", field="jobs", next_step="Give --jobs 1 or more.")
        self._names = [spec.name, experiment.name]
        self._logs = own_place(spec, experiment).parent
        threads = max(1, len(os.sched_getaffinity(0)) // jobs)
        self._environment = {"OMP_NUM_THREADS": str(threads), **os.environ}

    def __call__(self, trial: Trial, scratch: Path) -> _Running:
        name = f"{self._names[1]}-{trial.key.replace('/', '-')}"
        out, log = scratch / f"{name}.json", self._logs / f"{name}.log"
        with disk_errors(log):
            self._logs.mkdir(parents=True, exist_ok=True)
            with log.open("wb") as said:
                command = [sys.executable, "-m", "agentforge.kit.trial", *self._names, trial.key, str(out)]
                process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=said, stderr=said, env=self._environment,
                    start_new_session=True,  # a terminal's Ctrl-C is for us alone; we hand it on, once
                )  # fmt: skip
        return _Running(trial, process, out, log)
