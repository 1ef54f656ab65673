"""The directory of one run of one phase: what was asked, who works on it, whether it is done."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agentforge.kit import clock
from agentforge.kit.digests import digest_json
from agentforge.kit.errors import AlreadyExists, DataLoss, DiskFull, FailedPrecondition, InvalidInput, NotFound
from agentforge.kit.events import BALLAST, EventLog
from agentforge.kit.files import (
    disk_errors,
    fsync_directory,
    fsync_tree,
    make_directories,
    remove_tree,
    write_atomic,
)
from agentforge.kit.paths import check_name, check_run_id, resolve_inside
from agentforge.kit.refs import ArtifactRef, Done

_BALLAST_BYTES = 64 << 10
_LOCK_TRIES = 5


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What was asked, complete: a worker needs nothing else."""

    run_id: str
    phase: str
    inputs: tuple[ArtifactRef, ...]
    config: Mapping[str, Any]
    code_digest: str
    entry: str  # "module:NAME" of the PhaseSpec
    created: str = field(default_factory=clock.now)

    @property
    def config_digest(self) -> str:
        return config_digest(self.phase, self.code_digest, self.config)

    def same_as(self, other: RunRequest) -> bool:
        """Whether both ask for the same: when it was asked, and by which version of the code, is no matter."""
        return self._asked() == other._asked()

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "inputs": [ref.to_json() for ref in self.inputs], "config": dict(self.config)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RunRequest:
        return cls(**{**value, "inputs": tuple(ArtifactRef.from_json(ref) for ref in value["inputs"])})

    def _asked(self) -> tuple[str, list[tuple[str, str, str]], str]:
        return self.phase, [(r.name, r.kind, r.sha256) for r in self.inputs], digest_json(dict(self.config))


def config_digest(phase: str, code_digest: str, config: Mapping[str, Any]) -> str:
    """Digest of the phase, its code and the resolved config; with the inputs' digests it is the key of reuse."""
    return digest_json([phase, code_digest, dict(config)])


class RunDirectory:
    """runs/<run_id>/<phase>/ on the volume. It counts once it has its request.json."""

    def __init__(self, home: Path, run_id: str, phase: str) -> None:
        check_run_id(run_id)
        check_name(phase, "phase")
        self.home = home
        self.run_id = run_id
        self.phase = phase
        self.path = resolve_inside(home, f"runs/{run_id}/{phase}")
        self.request_path = self.path / "request.json"
        self.log_path = self.path / "events.jsonl"
        self.lock_path = self.path / "LOCK"
        self.cancel_path = self.path / "CANCEL.json"
        self.done_path = self.path / "DONE.json"
        self.heartbeat_path = self.path / "heartbeat.json"
        self.worker_log_path = self.path / "worker.log"
        self.checkpoints_path = self.path / "checkpoints"
        self.output_path = self.path / "output"
        self.scratch_path = self.path / "scratch"
        self.work_path = self.path / "work"
        self.data_path = self.work_path / "data-notes"

    @classmethod
    def at(cls, path: Path) -> RunDirectory:
        """The run directory at a path that ends in runs/<run_id>/<phase>."""
        path = path.absolute()
        if len(path.parents) < 3 or path.parents[1].name != "runs":
            raise NotFound(f"{path} is no run directory: it must end in runs/<run_id>/<phase>", field=str(path))
        return cls(path.parents[2], path.parent.name, path.name)

    def __repr__(self) -> str:
        return f"RunDirectory({str(self.path)!r})"

    def create(self, request: RunRequest) -> bool:
        """Make the run, whole or not at all. False when the same request made it before."""
        if (request.run_id, request.phase) != (self.run_id, self.phase):
            raise ValueError(f"{request.run_id}/{request.phase} does not belong into {self.path}")
        if not self.exists() and self._make(request):
            return True
        if not self.request().same_as(request):
            raise AlreadyExists(
                f"run {self.run_id!r} of phase {self.phase!r} exists, with other inputs or another config",
                field="run_id",
                next_step="Choose another run id, or ask for exactly the same.",
            )
        return False

    def exists(self) -> bool:
        return self.request_path.is_file()

    def request(self) -> RunRequest:
        value = _read_json(self.request_path)
        if value is None:
            message = f"there is no run {self.run_id!r} of phase {self.phase!r}"
            raise NotFound(message, reason="UNKNOWN_RUN", field="run_id", next_step="See `agentforge runs`.")
        try:
            return RunRequest.from_json(value)
        except (KeyError, TypeError) as error:
            raise _damaged(self.request_path, error) from None

    def open_log(self) -> EventLog:
        """The writer of the event log; only for who holds the lock."""
        with contextlib.suppress(DiskFull):  # then the log works without ballast, as long as it can
            write_ballast(self.path)
        return EventLog(self.log_path, self.phase)

    def try_lock(self) -> int | None:
        """Become the one who works on this run: a file descriptor, or None when another does.

        The lock lives as long as any copy of the descriptor is open, so a child that got it through `pass_fds`
        holds it until it exits, however it exits.
        """
        with disk_errors(self.lock_path):
            descriptor = os.open(self.lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        for _ in range(_LOCK_TRIES):
            if _flock(descriptor, fcntl.LOCK_EX):
                return descriptor
            time.sleep(0.001)  # is_locked() of another process may hold it for an instant
        os.close(descriptor)
        return None

    def is_locked(self) -> bool:
        """Whether somebody works on this run now."""
        try:
            descriptor = os.open(self.lock_path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not _flock(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)

    def request_cancel(self, reason: str) -> None:
        """Ask whoever works on this run to stop. The first reason stays."""
        if self.cancel_requested() is None:
            write_atomic(self.cancel_path, _json_bytes({"reason": reason, "time": clock.now()}))

    def cancel_requested(self) -> str | None:
        """The reason, which may be empty; None when nobody asked."""
        value = _read_json(self.cancel_path)
        return None if value is None else str(value.get("reason", ""))

    def clear_cancel(self) -> None:
        with disk_errors(self.cancel_path):
            self.cancel_path.unlink(missing_ok=True)

    def done(self) -> Done | None:
        """The record of the finished run, or None when it is not finished."""
        value = _read_json(self.done_path)
        try:
            return None if value is None else Done.from_json(value)
        except (KeyError, TypeError) as error:
            raise _damaged(self.done_path, error) from None

    def _make(self, request: RunRequest) -> bool:
        """Prepare a directory aside and rename it into place; False when another was faster."""
        parent = self.path.parent
        aside = parent / f".{self.phase}.{uuid.uuid4().hex}.tmp"
        with disk_errors(self.path):
            try:
                make_directories(parent, self.home)
                aside.mkdir()
                (aside / "request.json").write_bytes(_json_bytes(request.to_json()))
                write_ballast(aside)
                fsync_tree(aside)
                aside.rename(self.path)
                fsync_directory(parent)
            except BaseException as error:
                remove_tree(aside)
                if isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    return self._lost_race(error)
                with contextlib.suppress(OSError):  # it holds other phases of the run, or was never made
                    parent.rmdir()
                raise
        return True

    def _lost_race(self, error: OSError) -> bool:
        if self.exists():
            return False
        raise FailedPrecondition(
            f"{self.path} holds files but no request.json",
            reason="NOT_A_RUN",
            field="run_id",
            next_step="Move it away, or choose another run id.",
        ) from error


def list_runs(home: Path, phase: str) -> list[RunDirectory]:
    """The runs of a phase, newest first."""
    found = []
    runs = home / "runs"
    for name in (entry.name for entry in runs.iterdir()) if runs.is_dir() else ():
        try:
            made = (runs / name / phase / "request.json").lstat().st_mtime_ns
            found.append((made, name, RunDirectory(home, name, phase)))
        except (OSError, InvalidInput):  # no run of this phase, or no run at all
            continue
    return [run for _, _, run in sorted(found, key=lambda item: item[:2], reverse=True)]


def write_ballast(directory: Path) -> None:
    """Take up the space that the run's last words will need when the disk is full."""
    path = directory / BALLAST
    if not path.exists():
        write_atomic(path, os.urandom(_BALLAST_BYTES))  # a file of zeros may take up nothing


def _flock(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _json_bytes(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise _damaged(path, error) from None
    if not isinstance(value, dict):
        raise _damaged(path, "no JSON object")
    return value


def _damaged(path: Path, why: object) -> DataLoss:
    message = f"{path} is damaged: {why}"
    return DataLoss(message, reason="RUN_DAMAGED", field=str(path), next_step="Restore it, or start a new run.")
