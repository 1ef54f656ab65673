"""An artifact as a tar: the same files give the same bytes, whoever packs them and when."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from agentforge.kit.errors import DataLoss
from agentforge.kit.manifest import SINGLE
from agentforge.kit.refs import FileEntry

_CHUNK = 1 << 20
OWN_CARD, PHASE_CARD = "README.md", "README.phase.md"
"""The registry's card takes the place that Hugging Face reads; a card that came with the files stays beside it."""


def members(place: Path, entries: Sequence[FileEntry], card: str) -> Iterator[tuple[str, Iterator[bytes], int]]:
    """Name, bytes and size of every file of an export, in order. A file that is not what was registered raises."""
    text = card.encode()
    yield OWN_CARD, iter([text]), len(text)
    for entry in entries:
        file = place if entry["path"] == SINGLE else place / entry["path"]
        name = place.name if entry["path"] == SINGLE else entry["path"]
        yield (PHASE_CARD if name == OWN_CARD else name), _verified(file, entry), entry["size"]


def tar_stream(top: str, files: Iterable[tuple[str, Iterator[bytes], int]]) -> Iterator[bytes]:
    """The tar's bytes, below one directory; no owner, no time, sorted as given."""
    total = 0
    for name, data, size in files:
        header = tarfile.TarInfo(f"{top}/{name}")
        header.size, header.mode, header.mtime = size, 0o644, 0
        head = header.tobuf(tarfile.PAX_FORMAT)
        total += len(head) + size + -size % tarfile.BLOCKSIZE
        yield head
        yield from data
        yield bytes(-size % tarfile.BLOCKSIZE)
    end = 2 * tarfile.BLOCKSIZE
    yield bytes(end + -(total + end) % tarfile.RECORDSIZE)


def _verified(file: Path, entry: FileEntry) -> Iterator[bytes]:
    digest, left = hashlib.sha256(), entry["size"]
    with file.open("rb") as data:
        while left and (chunk := data.read(min(_CHUNK, left))):
            digest.update(chunk)
            left -= len(chunk)
            yield chunk
        if left or data.read(1) or digest.hexdigest() != entry["sha256"]:
            raise DataLoss(
                f"{file.name} is not what was registered",
                reason="ARTIFACT_FILE_ALTERED",
                field=file.name,
                next_step="Restore the file, or run the phase that made it once more.",
            )
