"""What takes up space on the volume and is needed by nobody: found, measured, listed, and removed when asked."""

from __future__ import annotations

import fcntl
import os
import re
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from pydantic import Field

from agentforge.kit.errors import ForgeError
from agentforge.kit.files import disk_errors, make_directories, remove_tree
from agentforge.kit.rundir import RunDirectory
from agentforge_gateway.models import Model
from agentforge_gateway.registry.importing import ASIDE

_DIGEST = re.compile(r"[0-9a-f]{64}")
_LOCK = ".registry.lock"
_REMOVED = ".removed-"
_ASIDE_S = 3600.0  # an import that is not done after an hour of silence was killed


class CleanUp(Model):
    dry_run: Annotated[bool, Field(description="List what would go, with its bytes, and remove nothing.")] = True
    outputs: Annotated[
        bool,
        Field(
            description="Also outputs of finished runs that no registered model is or descends from, and imports "
            "that no model and no run has."
        ),
    ] = False
    older_than_s: Annotated[
        float, Field(ge=0, le=1e10, description="Leave alone what is younger than this, in seconds.")
    ] = 86_400.0


class Item(Model):
    path: str
    size_bytes: int
    why: str


class CleanedUp(Model):
    dry_run: bool
    items: list[Item]
    total_bytes: int


class Keep(Model):
    """Digests that stay, those whose versions were deleted, and runs that a pipeline still works with."""

    digests: frozenset[str]
    deleted: frozenset[str]
    run_ids: frozenset[str]


@contextmanager
def volume_lock(home: Path, *, alone: bool) -> Iterator[None]:
    """Registering shares it, clean-up has it alone: nothing vanishes between its check and its entry."""
    with disk_errors(home):
        make_directories(home, home)
        lock = os.open(home / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
    finally:
        os.close(lock)


def find(home: Path, request: CleanUp, keep: Keep) -> list[Item]:
    now = time.time()
    # A run whose files cannot be read raises: what it needs is unknown, so nothing may go.
    runs = [run for run in _runs(home) if run.exists()]
    needed = keep.digests | {ref.sha256 for run in runs if run.done() is None for ref in run.request().inputs}
    found: list[Item] = []
    for run in runs:
        done = run.done()
        if done is None or run.is_locked() or now - run.done_path.stat().st_mtime < request.older_than_s:
            continue
        for place in (run.checkpoints_path, run.scratch_path):
            if place.is_dir():
                found.append(_item(home, place, f"{place.name} of a finished run"))
        for place in sorted([*run.path.glob(f"{_REMOVED}*"), *run.output_path.glob(f"{_REMOVED}*")]):
            found.append(_item(home, place, "left over from a clean-up that was killed"))
        if run.run_id in keep.run_ids:
            continue
        for ref in done.outputs:
            if ref.sha256 in needed or not (home / ref.path).exists():
                continue
            if ref.sha256 in keep.deleted:
                found.append(_item(home, home / ref.path, "its versions were deleted"))
            elif request.outputs:
                found.append(_item(home, home / ref.path, "an output that no registered model descends from"))
    if request.outputs:
        needed |= {ref.sha256 for run in runs for ref in run.request().inputs}
    found += _imports(home, request, keep, needed, now)
    return found


def remove(home: Path, items: Collection[Item]) -> None:
    """Renamed first: what is half removed when the machine dies is not taken for an artifact."""
    for item in items:
        place = home / item.path
        aside = place.with_name(f"{_REMOVED}{uuid.uuid4().hex}")
        with disk_errors(place):
            place.rename(aside)
            remove_tree(aside) if aside.is_dir() else aside.unlink()


def _imports(home: Path, request: CleanUp, keep: Keep, needed: Collection[str], now: float) -> Iterator[Item]:
    imports = home / "imports"
    for entry in sorted(imports.iterdir()) if imports.is_dir() else ():
        age = now - entry.lstat().st_mtime
        if entry.name.startswith((ASIDE, ".")) and entry.is_dir() and age > _ASIDE_S:
            yield _item(home, entry, "left over from an import that was killed")
        elif entry.name in needed or age < request.older_than_s:
            continue
        elif entry.name in keep.deleted:
            yield _item(home, entry, "its versions were deleted")
        elif request.outputs and _DIGEST.fullmatch(entry.name):
            yield _item(home, entry, "imported, and no model and no run here has it")


def _runs(home: Path) -> Iterator[RunDirectory]:
    top = home / "runs"
    for run in sorted(top.iterdir()) if top.is_dir() else ():
        for phase in sorted(run.iterdir()) if run.is_dir() and not run.is_symlink() else ():
            if phase.is_dir() and not phase.name.startswith("."):
                try:
                    yield RunDirectory(home, run.name, phase.name)
                except ForgeError:  # not ours: a name that no run has
                    continue


def _item(home: Path, place: Path, why: str) -> Item:
    files = [Path(top, name) for top, _, names in os.walk(place) for name in names] if place.is_dir() else [place]
    size = sum(file.lstat().st_size for file in files)
    return Item(path=place.relative_to(home).as_posix(), size_bytes=size, why=why)
