"""The staged files as one tar.gz: whole or not there, and the same bytes for the same files.

The tar inside depends on the files alone. How it is deflated depends on the zlib that Python was built with, too
(classic zlib's releases agree, zlib-ng does not), so the tar's own digest is given beside the archive's:
`gzip -dc PACKAGE | sha256sum` shows it on any machine.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import shutil
import tarfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from agentforge.edge.package.layout import MANIFEST, SIGNATURE, mode_of, top_folder
from agentforge.edge.package.manifest import Manifest, read_manifest
from agentforge.kit.errors import DataLoss, DiskFull
from agentforge.kit.files import disk_errors, fsync_directory

BLOCK = 512  # bytes: a tar consists of them
END = 2 * BLOCK  # zeros
TIME = 315_532_800  # 1980-01-01: the earliest that every archiver can show
_LEVEL = 6
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Packed:
    path: Path
    bytes: int
    sha256: str
    tar_sha256: str  # of what is inside the gzip: equal wherever the files are


def pack(staged: Path, target: Path) -> Packed:
    """Archive the staged files that manifest.json lists, itself first, so that a reader knows what must follow."""
    manifest = read_manifest((staged / MANIFEST).read_bytes())
    members = [MANIFEST, *([SIGNATURE] if (staged / SIGNATURE).exists() else []), *sorted(manifest.files)]
    top = top_folder(manifest.name)
    needed = sum(BLOCK + _padded((staged / path).stat().st_size) for path in members) + END
    with _appearing(target, needed) as file:
        archive = _Hashed(file)
        with gzip.GzipFile("", "wb", _LEVEL, archive, mtime=0) as compressed:
            tar = _Hashed(compressed)
            for path in members:
                _add(tar, staged / path, f"{top}/{path}", mode_of(path), manifest)
            tar.write(bytes(END))
    return Packed(target, target.stat().st_size, archive.digest.hexdigest(), tar.digest.hexdigest())


class _Hashed:
    """Hands bytes on and takes their digest."""

    def __init__(self, file: BinaryIO | gzip.GzipFile) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def _add(tar: _Hashed, file: Path, name: str, mode: int, manifest: Manifest) -> None:
    size = file.stat().st_size
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, mode, TIME
    tar.write(entry.tobuf(tarfile.USTAR_FORMAT))
    digest = hashlib.sha256()
    with file.open("rb") as data:
        for chunk in iter(lambda: data.read(_CHUNK), b""):
            digest.update(chunk)
            tar.write(chunk)
    record = manifest.files.get(name.partition("/")[2])
    if record and record.sha256 != digest.hexdigest():
        message = f"{file} changed after {MANIFEST} was made from it"
        raise DataLoss(message, reason="STAGED_FILE_CHANGED", field=str(file), next_step="Make the manifest again.")
    tar.write(bytes(-size % BLOCK))


def _padded(size: int) -> int:
    return size + -size % BLOCK


@contextlib.contextmanager
def _appearing(target: Path, needed: int) -> Iterator[BinaryIO]:
    """A file that gets its name when it is whole, and leaves nothing behind when it fails."""
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        with disk_errors(target):
            try:
                with aside.open("xb") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                aside.replace(target)
                fsync_directory(target.parent)
            finally:
                with contextlib.suppress(OSError):
                    aside.unlink(missing_ok=True)
    except DiskFull as error:
        raise no_space(target, needed) from error


def no_space(target: Path, needed: int) -> DiskFull:
    """Measured once what was half-written is gone."""
    free = shutil.disk_usage(target.parent).free
    message = f"no space left to write {target}: up to {needed:,} bytes are needed, {free:,} are free"
    return DiskFull(message, field=str(target), next_step="Free some space, or write to another disk.")
