"""What an artifact consists of: its files, their sizes and digests, and one digest of them all."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from agentforge.kit.digests import digest_json
from agentforge.kit.errors import InvalidInput, NotFound
from agentforge.kit.refs import FileEntry

SINGLE = "."


def manifest(path: Path) -> list[FileEntry]:
    """Every file below `path`, sorted; a file by itself is a manifest of one. Only regular files are taken.

    Empty directories do not count: two artifacts are equal when their files are.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        raise NotFound(f"there is nothing at {path}", reason="ARTIFACT_NOT_FOUND", field=str(path)) from None
    if not stat.S_ISDIR(mode):
        return [_entry(path, SINGLE)]
    entries = [_entry(file, file.relative_to(path).as_posix()) for file in _files(path)]
    if not entries:
        step = "Put files into it, or give another path."
        raise InvalidInput(f"{path} holds no files", reason="EMPTY_ARTIFACT", field=str(path), next_step=step)
    return sorted(entries, key=lambda entry: entry["path"])


def tree_digest(entries: Sequence[FileEntry]) -> str:
    return digest_json(list(entries))


def total_size(entries: Sequence[FileEntry]) -> int:
    return sum(entry["size"] for entry in entries)


def first_difference(expected: Sequence[FileEntry], found: Sequence[FileEntry]) -> tuple[str, str] | None:
    """What is wrong with the first file that differs ("altered", "missing", "extra"), and its path."""
    want = {entry["path"]: entry for entry in expected}
    have = {entry["path"]: entry for entry in found}
    for path in sorted(want.keys() | have.keys()):
        if path not in have:
            return "missing", path
        if path not in want:
            return "extra", path
        if want[path] != have[path]:
            return "altered", path
    return None


def _files(top: Path) -> Iterator[Path]:
    waiting = [top]  # not recursion: a tree may be deeper than the interpreter's stack
    while waiting:
        with os.scandir(waiting.pop()) as items:
            for item in items:
                if item.is_dir(follow_symlinks=False):
                    waiting.append(Path(item.path))
                else:
                    yield Path(item.path)


def _entry(file: Path, name: str) -> FileEntry:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise _refused(file, "has a name that is not UTF-8") from None
    try:
        # Without NONBLOCK the opening of a pipe would wait for ever.
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if file.is_symlink():
            raise _refused(file, "is a symbolic link") from None
        if not file.is_file():
            raise _refused(file, "is no regular file") from None
        raise InvalidInput(
            f"{file} cannot be read: {error.strerror}", reason="UNREADABLE", field=str(file)
        ) from error
    with os.fdopen(descriptor, "rb") as data:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _refused(file, "is no regular file")
        digest = hashlib.file_digest(data, "sha256").hexdigest()
        return FileEntry(path=name, size=data.tell(), sha256=digest)


def _refused(file: Path, why: str) -> InvalidInput:
    return InvalidInput(
        f"{str(file)!r} {why}",
        reason="NOT_A_REGULAR_FILE",
        field=str(file),
        next_step="An artifact consists of regular files only; copy the content instead.",
    )
