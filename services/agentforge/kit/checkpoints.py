"""Checkpoints: the state to go on from, written whole, read only when undamaged, the last few kept.

Of several ranks the first writes, for all of them, and says which one is the latest.
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agentforge.kit import ranks
from agentforge.kit.digests import canonical_json
from agentforge.kit.errors import ForgeError
from agentforge.kit.files import disk_errors, fsync_directory, fsync_tree, remove_tree
from agentforge.kit.manifest import first_difference, manifest

_LOGGER = logging.getLogger(__name__)
_STEP = re.compile(r"step-(\d{12,})")
_RECORD = "CHECKPOINT.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    step: int
    path: Path  # the directory that `write` filled


class Checkpoints:
    """A directory of step-<number>/{data/, CHECKPOINT.json}. `warn` is told of each damaged one passed over."""

    def __init__(self, directory: Path, keep: int = 2, warn: Callable[[str], None] = _LOGGER.warning) -> None:
        if keep < 1:
            raise ValueError(f"keep={keep}: at least one checkpoint is kept")
        self.directory = directory
        self.keep = keep
        self._warn = warn

    def save(self, step: int, write: Callable[[Path], None]) -> Checkpoint:
        """Let `write` fill an empty directory, and make it the checkpoint of this step once it is durable."""
        aside = self.directory / f".{uuid.uuid4().hex}.tmp"
        final = self.directory / f"step-{step:012d}"
        if not ranks.current().leads:
            return Checkpoint(step, final / "data")
        with disk_errors(self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
            self._sweep()
            try:
                (aside / "data").mkdir(parents=True)
                write(aside / "data")
                record = {"step": step, "files": manifest(aside / "data")}
                (aside / _RECORD).write_bytes(canonical_json(record))
                fsync_tree(aside)
                self._discard(final)
                aside.rename(final)
                fsync_directory(self.directory)
            except BaseException:
                remove_tree(aside)
                raise
            self._prune(step)
        return Checkpoint(step, final / "data")

    def latest(self) -> Checkpoint | None:
        """The newest one whose files are all what they were."""
        own = ranks.current()
        step = own.share(self._undamaged() if own.leads else None)
        return None if step is None else Checkpoint(step, self.directory / f"step-{step:012d}" / "data")

    def count(self) -> int:
        return len(self._steps())

    def newest_step(self) -> int | None:
        """Without looking into it."""
        return max(self._steps(), default=None)

    def _undamaged(self) -> int | None:
        steps = self._steps()
        for step in reversed(steps):
            place = self.directory / f"step-{step:012d}"
            damage = _damage(place, step)
            if damage is None:
                return step
            then = "the one before it is used" if step > steps[0] else "there is none before it: all begins anew"
            self._warn(f"checkpoint {place} is damaged ({damage}); {then}")
        return None

    def _steps(self) -> list[int]:
        try:
            names = [entry.name for entry in self.directory.iterdir()]
        except FileNotFoundError:
            return []
        return sorted(int(match[1]) for name in names if (match := _STEP.fullmatch(name)))

    def _prune(self, saved: int) -> None:
        """Keep the last few up to the one just saved. Later ones are damaged: else the run had gone on there."""
        steps = self._steps()
        kept = [step for step in steps if step <= saved][-self.keep :]
        for step in steps:
            if step not in kept:
                self._discard(self.directory / f"step-{step:012d}")

    def _discard(self, place: Path) -> None:
        """Rename first: a half-removed checkpoint must not look like a damaged one."""
        trash = self.directory / f".{uuid.uuid4().hex}.tmp"
        try:
            place.rename(trash)
        except FileNotFoundError:
            return
        _remove(trash)

    def _sweep(self) -> None:
        """Remove what a killed writer left."""
        for entry in self.directory.glob(".*.tmp"):
            _remove(entry)


def _remove(place: Path) -> None:
    """Also where somebody put a file or a link."""
    if place.is_dir() and not place.is_symlink():
        remove_tree(place)
    else:
        place.unlink(missing_ok=True)


def _damage(place: Path, step: int) -> str | None:
    """What is wrong with the checkpoint; None when nothing is."""
    try:
        record = json.loads((place / _RECORD).read_bytes())
        difference = first_difference(record["files"], manifest(place / "data"))
        if record["step"] != step:
            return f"it says that it is of step {record['step']}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{_RECORD}: {error}"
    except ForgeError as error:
        return str(error)
    return None if difference is None else f"{difference[1]} is {difference[0]}"
