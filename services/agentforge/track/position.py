"""How far a follower has told, kept beside the runs; and that there is one follower of a kind for a run."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from agentforge.kit.errors import DataLoss, FailedPrecondition
from agentforge.kit.files import disk_errors, make_directories, write_atomic
from agentforge.track.source import Source


@dataclass
class Position:
    """`told`: the last event that is safe where it was told. `unsafe`: directories, by name, of what was begun
    after it and not finished; they are written anew."""

    told: int = 0
    unsafe: list[str] = field(default_factory=list)


class Place:
    """track/<run>/<kind>/ on the volume."""

    def __init__(self, source: Source, kind: str) -> None:
        self.path = source.place / kind
        self._file = self.path / "position.json"
        make_directories_checked(self.path, source.home)

    def load(self) -> Position:
        try:
            return Position(**json.loads(self._file.read_bytes()))
        except FileNotFoundError:
            return Position()
        except (ValueError, TypeError) as error:
            raise DataLoss(
                f"{self._file} is damaged: {error}",
                reason="POSITION_DAMAGED",
                field=str(self._file),
                next_step="`agentforge track RUN_ID --again` tells all of the run anew.",
            ) from None

    def save(self, position: Position) -> None:
        write_atomic(self._file, json.dumps(asdict(position)).encode() + b"\n")

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Raise when another process follows this run for the same purpose."""
        with disk_errors(self.path):
            descriptor = os.open(self.path / "LOCK", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise FailedPrecondition(
                    f"another process tells of this run already ({self.path})",
                    reason="ALREADY_TRACKED",
                    field="run_id",
                    next_step="Let it finish, or end it first; it writes to sink.log there.",
                ) from None
            yield
        finally:
            os.close(descriptor)


def make_directories_checked(path: Path, home: Path) -> None:
    with disk_errors(path):
        make_directories(path, home)
