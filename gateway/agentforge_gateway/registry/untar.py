"""Models that come as a tar: written file by file, bounded by what it says and by what is read."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from agentforge.kit.errors import InvalidInput
from agentforge_gateway.registry.admission import MAX_FILES

MAX_BYTES = 256 << 30  # of all files together, as they lie on the volume
_MOST_AT_ONCE = (
    1 << 20
)  # tarfile reads names that are longer than a block in one piece, however long they say they are
_OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


def is_tar(path: Path) -> bool:
    return path.is_file() and path.name.endswith((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"))


def unpack(archive: Path, target: Path, max_bytes: int = MAX_BYTES) -> Path:
    """The directory that holds the model: `target`, or the one directory that all of the archive lies in."""
    limit = min(max_bytes, shutil.disk_usage(target).free)
    with archive.open("rb") as raw:
        first = raw.read(6)
        raw.seek(0)
        opener = next((one for magic, one in _OPENERS.items() if first.startswith(magic)), None)
        try:
            data = opener(raw) if opener else raw
            with tarfile.open(fileobj=cast(IO[bytes], _Forward(data, limit)), mode="r:") as tar:
                _unpack(tar, target, limit)
        except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
            if isinstance(error, OSError) and error.errno:
                raise
            raise _bad(f"{archive.name} is no whole tar: {error}") from None
    inside = list(target.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else target


def _unpack(tar: tarfile.TarFile, target: Path, limit: int) -> None:
    total = 0
    for count, member in enumerate(tar, 1):
        path = _place(member, target)
        total += member.size
        if count > MAX_FILES or total > limit:
            raise _too_large(f"more than {MAX_FILES:,} entries" if count > MAX_FILES else f"over {limit:,} bytes")
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True)
            continue
        if path.exists():
            raise _bad(f"{member.name[:200]!r} is in the archive twice")
        path.parent.mkdir(parents=True, exist_ok=True)
        source = tar.extractfile(member)
        assert source is not None  # a regular file
        with source, path.open("xb") as file:
            shutil.copyfileobj(source, file, 1 << 18)


def _place(member: tarfile.TarInfo, target: Path) -> Path:
    name = PurePosixPath(member.name)
    if not (member.isdir() or (member.isreg() and member.type != tarfile.GNUTYPE_SPARSE and not member.issparse())):
        raise _bad(f"{member.name[:200]!r} is a link, a device or a sparse file")
    bad = name.is_absolute() or ".." in name.parts or "\0" in member.name or len(name.parts) > 32
    if bad or member.size < 0 or any(len(part.encode(errors="replace")) > 255 for part in name.parts):
        raise _bad(f"{member.name[:200]!r} is no path inside the archive")
    return target / name


class _Forward:
    """A file that is read once, forward, in small pieces, and not beyond its limit: no piece fills the memory,
    and what is only skipped counts as well."""

    def __init__(self, source: IO[bytes], limit: int) -> None:
        self._source = source
        self._limit = limit + limit // 8 + (64 << 20)  # headers and padding
        self._at = 0

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _MOST_AT_ONCE:
            raise _bad("the archive holds a name or an attribute of more than a mebibyte")
        data = self._source.read(size)
        self._at += len(data)
        if self._at > self._limit:
            raise _too_large(f"over {self._limit:,} bytes")
        return data

    def tell(self) -> int:
        return self._at

    def seek(self, position: int) -> None:
        if position < self._at:
            raise tarfile.ReadError("it goes backwards")
        while self._at < position:
            if not self.read(min(_MOST_AT_ONCE, position - self._at)):
                raise tarfile.ReadError("unexpected end of data")


def _bad(message: str) -> InvalidInput:
    return InvalidInput(
        message,
        reason="BAD_ARCHIVE",
        field="path",
        next_step="Pack plain files and directories, by relative paths.",
    )


def _too_large(what: str) -> InvalidInput:
    return InvalidInput(
        f"the archive unpacks to {what}",
        reason="IMPORT_TOO_LARGE",
        field="path",
        next_step="Make space on the volume, or unpack it yourself and import the directory.",
    )
