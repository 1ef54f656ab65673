"""Files that are whole or not there, and disk errors in words."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path

from agentforge.kit.errors import DiskFull, FailedPrecondition

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


def write_atomic(path: Path, data: bytes) -> None:
    """A reader sees the old content or the new one, also after a power failure."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    with disk_errors(path):
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            fsync_directory(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):  # the first error is the one to tell
                temporary.unlink(missing_ok=True)
            raise


def fsync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    _fsync(path, os.O_RDONLY | os.O_DIRECTORY)


def fsync_tree(path: Path) -> None:
    """Make a file, or a directory with all that is in it, durable."""
    if not path.is_dir():
        _fsync(path, os.O_RDONLY)
        return
    for directory, _, files in os.walk(path, topdown=False):
        for name in files:
            file = Path(directory, name)
            # Links and pipes are refused later, by the manifest; opening a pipe would wait for ever.
            if file.is_file() and not file.is_symlink():
                _fsync(file, os.O_RDONLY)
        fsync_directory(Path(directory))


def make_directories(path: Path, root: Path) -> None:
    """Like mkdir -p, durably: each new name is synced in its parent. Only inside `root`, which may be new too."""
    if not path.is_relative_to(root):
        raise ValueError(f"{path} is not inside {root}")
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        directory.mkdir(exist_ok=True)
        fsync_directory(directory.parent)


def usual_modes(path: Path) -> None:
    """Modes as of newly made files and directories: libraries that write with 0600 would lock other users out."""
    hidden = _umask()
    for directory, _, files in os.walk(path):
        Path(directory).chmod(0o755 & ~hidden)
        for name in files:
            file = Path(directory, name)
            runs = file.stat().st_mode & stat.S_IXUSR
            file.chmod((0o755 if runs else 0o644) & ~hidden)


def remove_tree(path: Path) -> None:
    """Remove a directory that nobody needs; that it is not there is well."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)


@contextlib.contextmanager
def disk_errors(path: Path | str) -> Iterator[None]:
    """Turn a full disk and a read-only volume into errors that say so, and where; other OSErrors pass."""
    try:
        yield
    except OSError as error:
        place = str(error.filename or path)
        if error.errno in _FULL:
            raise DiskFull(
                f"no space left to write {place}", field=place, next_step="Free some space, then resume the run."
            ) from error
        if error.errno in _READ_ONLY:
            raise FailedPrecondition(
                f"{place} is not open to this process: {error.strerror}",
                reason="READ_ONLY_VOLUME",
                field=place,
                next_step="Make the volume writable for this user, or choose another AGENTFORGE_HOME.",
            ) from error
        raise


def _umask() -> int:
    """Asking os.umask would set it, for all threads."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("Umask:")[2].split()[0], 8)


def _fsync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
