"""Models that a user brings in: copied once to imports/<digest>/<name> on the volume, and never changed."""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from pathlib import Path

from agentforge.kit.digests import canonical_json
from agentforge.kit.errors import InvalidInput, NotFound
from agentforge.kit.files import (
    disk_errors,
    fsync_directory,
    fsync_tree,
    make_directories,
    remove_tree,
    write_atomic,
)
from agentforge.kit.manifest import manifest, tree_digest
from agentforge.kit.paths import check_name
from agentforge.kit.refs import ArtifactRef
from agentforge.kit.verify import IMPORT_RECORD, ref_of


def import_tree(home: Path, source: Path, name: str, kind: str) -> ArtifactRef:
    """Copy a file or a directory onto the volume. What is there already, undamaged, is not copied again.

    Links to files are followed, since a Hugging Face cache consists of them; links to directories are refused.
    """
    check_name(name, "name")
    imports = home / "imports"
    aside = imports / f".{uuid.uuid4().hex}.tmp"
    with disk_errors(imports):
        make_directories(aside, home)
        try:
            copy = aside / name
            _copy(source, copy)
            entries = manifest(copy)
            final = imports / tree_digest(entries) / name
            make_directories(final.parent, home)
            if not _is_whole(final):
                fsync_tree(copy)
                _put(copy, final)
                write_atomic(final.parent / IMPORT_RECORD, canonical_json(entries))
        finally:
            remove_tree(aside)
    return ref_of(home, final, name, kind, entries)


def _put(copy: Path, final: Path) -> None:
    """Rename into place, over a damaged copy if there is one."""
    remove_tree(final) if final.is_dir() else final.unlink(missing_ok=True)
    try:
        copy.rename(final)
    except OSError:
        if not _is_whole(final):  # else another import of the same was faster
            raise
    fsync_directory(final.parent)


def _is_whole(place: Path) -> bool:
    try:
        return tree_digest(manifest(place)) == place.parent.name
    except (NotFound, InvalidInput):
        return False


def _copy(source: Path, target: Path) -> None:
    if not source.is_dir():
        _copy_file(source, target)
        return
    for directory, folders, files in os.walk(source):
        for folder in folders:
            if Path(directory, folder).is_symlink():
                raise _refused(Path(directory, folder), "is a link to a directory")
        place = target / Path(directory).relative_to(source)
        place.mkdir()
        for file in files:
            _copy_file(Path(directory, file), place / file)


def _copy_file(source: Path, target: Path) -> None:
    try:
        mode = source.stat().st_mode
    except FileNotFoundError:
        raise NotFound(f"there is nothing at {source}", reason="ARTIFACT_NOT_FOUND", field=str(source)) from None
    if not stat.S_ISREG(mode):
        raise _refused(source, "is no regular file")
    try:
        data = source.open("rb")
    except OSError as error:
        message = f"{source} cannot be read: {error.strerror}"
        raise InvalidInput(message, reason="UNREADABLE", field=str(source)) from error
    with data, target.open("xb") as copy:
        shutil.copyfileobj(data, copy, 1 << 20)


def _refused(path: Path, why: str) -> InvalidInput:
    return InvalidInput(
        f"{path} {why}",
        reason="NOT_A_REGULAR_FILE",
        field=str(path),
        next_step="Import a file, or a directory of files.",
    )
