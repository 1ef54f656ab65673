"""The worker of one run: `python -m agentforge.kit.worker RUN_DIR`. It knows its run directory and nothing else.

Exit codes: 0 a final state is in the log, whatever it is; 75 stopped by SIGTERM, resumable; 73 another has the run;
71 a rank of several was lost. Started by torchrun, or by a worker, it is one of these ranks (kit.team).
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentforge.kit import failures, ranks, state
from agentforge.kit.artifacts import describe, write_done
from agentforge.kit.config import TeamConfig, validate_config
from agentforge.kit.context import PhaseContext
from agentforge.kit.data_notes import noted, noting
from agentforge.kit.diagnosis import (
    ATTEMPT_LINE,
    EXIT_FINAL,
    EXIT_INTERRUPTED,
    EXIT_LOCK_HELD,
    EXIT_RANK_LOST,
    INTERRUPTED,
)
from agentforge.kit.errors import DiskFull, ForgeError
from agentforge.kit.events import EventLog
from agentforge.kit.files import disk_errors, make_directories, remove_tree
from agentforge.kit.following import follow, tell
from agentforge.kit.heartbeat import Heartbeat
from agentforge.kit.inputs import Inputs
from agentforge.kit.machines import Machines, Told
from agentforge.kit.phase import PhaseSpec, load_object
from agentforge.kit.refs import ArtifactRef
from agentforge.kit.rundir import RunDirectory, RunRequest
from agentforge.kit.slots import assign
from agentforge.kit.state import RunSummary
from agentforge.kit.stopping import RunStopped, StopRequest
from agentforge.kit.team import Team

LOCK_VARIABLE = "AGENTFORGE_LOCK_FD"
"""Environment: the file descriptor through which the launcher hands over the run's LOCK."""
LOCK_WAIT_VARIABLE = "AGENTFORGE_LOCK_WAIT_S"
"""Environment of a worker in a pod: its service holds the LOCK for moments, to tell what the pod waits for."""


class Attempt:
    """One worker's go at the run, from RUNNING to a final state or an interruption."""

    def __init__(self, run: RunDirectory, log: EventLog, summary: RunSummary, stop: StopRequest) -> None:
        self._run = run
        self._log = log
        self._stop = stop
        self._number = summary.attempt + 1
        self._earlier = summary.outputs
        self._context: PhaseContext | None = None
        self._team: Team | None = None
        self._cancelling = False
        self._ticking = threading.Lock()

    def go(self) -> int:
        """The exit code. Whatever the phase does, short of killing the process, ends in a state in the log."""
        try:
            with Heartbeat(self._run.heartbeat_path, self._tick):
                self._state(state.RUNNING, "" if self._number == 1 else "resumed")
                self._tick()  # a run that was cancelled before it began does not begin
                if self._stop.asked:
                    raise RunStopped
                self._work()
        except RunStopped:
            return self._stopped()
        except BaseException as error:
            if self._gave_up_stopping(error):
                return self._stopped()
            if self._team is not None and self._team.explains(error):
                return EXIT_RANK_LOST
            return self._failed(error)
        finally:
            remove_tree(self._run.scratch_path)
        return EXIT_FINAL

    def _work(self) -> None:
        request = self._run.request()
        spec: PhaseSpec = load_object(request.entry)
        config = validate_config(spec.config, request.config)
        published = self._still_published()
        inputs = Inputs.verified(self._run.home, spec.takes, request.inputs)
        scratch = self._fresh_scratch()
        context = PhaseContext(
            self._run, spec, config.seed, inputs, self._log.append, self._number, self._stop, published, scratch
        )
        if spec.code_digest != request.code_digest:
            context.log("the code has changed since this run was asked for: it may not be reproducible", "warning")
        self._context = context
        processes = config.processes if isinstance(config, TeamConfig) else 1
        elsewhere = Machines.of_environment()
        each = processes // (elsewhere.count if elsewhere is not None else 1)
        told = Told(self._run.run_id, self._run.phase, spec.code_digest, self._number, processes, each)
        self._team = Team(self._run, processes, _say, self._stop, told)
        with self._team, noting(self._run.data_path, self._run.home):
            tell(self._number, published)
            spec.load_run()(context, config)
        context.flush_progress()
        self._finish(spec, request, context.published)

    def _fresh_scratch(self) -> Path:
        scratch = self._run.scratch_path
        remove_tree(scratch)  # of an attempt that was killed
        with disk_errors(scratch):
            make_directories(scratch, self._run.home)
        return scratch

    def _finish(self, spec: PhaseSpec, request: RunRequest, published: Mapping[str, ArtifactRef]) -> None:
        outputs = [published[name] for name in sorted(published)]
        missing = assign(spec.makes, outputs)[1]
        if missing and self._stop.asked:
            raise RunStopped  # it came back early because it was asked to
        if missing:
            raise failures.wrong_outputs(spec, missing)
        measurements = RunSummary.of_log(self._log.path).measurements
        write_done(self._run, outputs, request.inputs, measurements.values(), noted(self._run.data_path))
        remove_tree(self._run.work_path)
        self._state(state.SUCCEEDED)

    def _still_published(self) -> dict[str, ArtifactRef]:
        """Outputs of earlier attempts that are still what the log says. The others are made again."""
        kept = {}
        for name, ref in self._earlier.items():
            place = self._run.output_path / name
            if place.exists() and describe(self._run.home, ref.path, name, ref.kind).sha256 == ref.sha256:
                kept[name] = ref
        return kept

    def _tick(self) -> None:
        """Ten times a second, on the heartbeat's thread."""
        with self._ticking:
            reason = None if self._cancelling else self._run.cancel_requested()
            if reason is not None:
                self._stop.cancel(reason)
                self._state(state.CANCELLING, reason)
                self._cancelling = True  # after writing: on a full disk it is tried once more
        if self._context is not None:
            self._context.flush_progress(due_only=True)
        if self._team is not None:
            self._team.watch()

    def _gave_up_stopping(self, error: BaseException) -> bool:
        """A KeyboardInterrupt or SystemExit that answers a request to stop is no failure."""
        return self._stop.asked and isinstance(error, KeyboardInterrupt | SystemExit)

    def _stopped(self) -> int:
        if not self._stop.asked:
            return self._failed(RuntimeError("the phase raised RunStopped though nobody asked it to stop"))
        if self._context is not None:
            self._context.flush_progress()
        if self._stop.cancel_reason is not None:
            self._state(state.CANCELLED, self._stop.cancel_reason)
            return EXIT_FINAL
        self._state(state.QUEUED, INTERRUPTED)
        return EXIT_INTERRUPTED

    def _failed(self, error: BaseException) -> int:
        told = failures.told(error)
        if not isinstance(error, ForgeError):
            _say("".join(traceback.format_exception(error)))
        if self._context is not None and not isinstance(told, DiskFull):
            self._context.flush_progress()
        self._state(state.FAILED, told.message, failures.detail(told))
        return EXIT_FINAL

    def _state(self, name: str, reason: str = "", error: Mapping[str, Any] | None = None) -> None:
        payload = {"state": name, "reason": reason} | ({"error": dict(error)} if error else {})
        self._log.append("state_changed", payload, self._number)


def work(run: RunDirectory, stop: StopRequest) -> int:
    """Go on with the run from where it is. The caller holds its LOCK."""
    with run.open_log() as log:
        summary = RunSummary.of_log(run.log_path)
        if summary.final:
            return EXIT_FINAL
        if run.done() is not None:  # killed between DONE.json and the word of it
            log.append("state_changed", {"state": state.SUCCEEDED, "reason": ""}, summary.attempt)
            return EXIT_FINAL
        return Attempt(run, log, summary, stop).go()


def main(arguments: list[str]) -> int:
    stop = StopRequest()
    stop.on_signals()
    if len(arguments) != 1:
        _say("usage: python -m agentforge.kit.worker RUN_DIR\n")
        return 2
    run = RunDirectory.at(Path(arguments[0]))
    own = ranks.of_environment()
    if not own.leads:
        return follow(run, own)
    _say(f"{ATTEMPT_LINE} at {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}, pid {os.getpid()}\n")
    lock = _take_lock(run)
    if lock is None:
        _say(f"another worker has {run.path}\n")
        return EXIT_LOCK_HELD
    return work(run, stop)


def _take_lock(run: RunDirectory) -> int | None:
    """The LOCK that the launcher handed over, or our own. It is held until this process ends."""
    inherited = os.environ.pop(LOCK_VARIABLE, "")
    if not inherited:
        patience_s = float(os.environ.pop(LOCK_WAIT_VARIABLE, 0))
        deadline = time.monotonic() + patience_s
        while (lock := run.try_lock()) is None and time.monotonic() < deadline:
            time.sleep(0.05)
        return lock
    os.set_inheritable(int(inherited), False)  # programs that the phase starts must not hold the run
    return int(inherited)


def _say(text: str) -> None:
    """Into worker.log. It may stand on the disk that is full; the state in the event log matters more."""
    with contextlib.suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


if __name__ == "__main__":
    code = main(sys.argv[1:])
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(code)  # threads that the phase left behind must not keep a finished run's worker
