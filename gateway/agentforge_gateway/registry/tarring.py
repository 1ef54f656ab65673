"""An artifact as a tar: the same files give the same bytes, whoever packs them and when."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from agentforge.kit.errors import DataLoss
from agentforge.kit.manifest import SINGLE
from agentforge.kit.refs import FileEntry

_CHUNK = 1 << 20
_CARD, _MANIFEST, _SIGNATURES = "README.md", "agentforge.manifest.json", "agentforge.sig"
"""The registry's card takes the place that Hugging Face reads. A file of the artifact with a name that the export
needs stays beside it: README.phase.md."""
SIGNATURE_TAG = "signature/"  # a tag that begins so holds a signature: cli/model_signatures.py


def members(
    place: Path, entries: Sequence[FileEntry], card: str, tags: Mapping[str, str]
) -> Iterator[tuple[str, Iterator[bytes], int]]:
    """Name, bytes and size of every file of an export, in order. A file that is not what was registered raises.

    A signed version has its manifest and signatures with it, so that whoever gets it can check both.
    """
    own = {_CARD: card.encode()}
    names = _names(place, entries)
    if signatures := [value for name, value in sorted(tags.items()) if name.startswith(SIGNATURE_TAG)]:
        files = [{**entry, "as": names[entry["path"]]} for entry in entries]
        own[_MANIFEST] = json.dumps({"files": files}, indent=1, sort_keys=True).encode() + b"\n"
        own[_SIGNATURES] = "".join(f"{value}\n" for value in signatures).encode()
    for name, data in own.items():
        yield name, iter([data]), len(data)
    for entry in entries:
        file = place if entry["path"] == SINGLE else place / entry["path"]
        yield names[entry["path"]], _verified(file, entry), entry["size"]


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


def _names(place: Path, entries: Sequence[FileEntry]) -> dict[str, str]:
    """By path: its name in the export. An export that was brought in again holds such names itself."""
    own = {_CARD, _MANIFEST, _SIGNATURES}
    names = {path: place.name if path == SINGLE else path for path in (entry["path"] for entry in entries)}
    taken = own | set(names.values())
    for path in [path for path, name in names.items() if name in own]:
        aside = PurePosixPath(names[path])
        while aside.as_posix() in taken:
            aside = aside.with_name(f"{aside.stem}.phase{aside.suffix}")
        names[path] = aside.as_posix()
        taken.add(names[path])
    return names


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
