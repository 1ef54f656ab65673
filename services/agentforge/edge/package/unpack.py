"""Archives from anywhere, unpacked without trust: the first file is the manifest, and nothing but what it lists is
written. Names, kinds and sizes are checked here; what is in the files, by `verify`."""

from __future__ import annotations

import gzip
import shutil
import tarfile
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path

from agentforge.edge.package.archive import BLOCK, no_space
from agentforge.edge.package.layout import MANIFEST, SIGNATURE, mode_of, package_name, top_folder
from agentforge.edge.package.manifest import MAX_BYTES, Manifest, read_manifest
from agentforge.kit.errors import AlreadyExists, DataLoss, InvalidInput
from agentforge.kit.files import disk_errors, remove_tree

MAX_SIGNATURE = 1 << 12  # bytes
MAX_TOTAL = 8 << 30  # bytes of all files: an ONNX file ends at 2 GiB
_MOST_RATIO, _RATIO_FROM = 200, 64 << 20  # weights shrink by a tenth, text by a few times
_PADDING = 10 << 10  # bytes: tar may fill its last record with zeros
_CHUNK = 1 << 20


def unpack(archive: Path, directory: Path) -> Path:
    """The archive's files in `directory`/agentforge-<name>, which appears when it is whole; its path."""
    if not archive.is_file():
        raise InvalidInput(f"{archive} is no file", reason="NOT_A_PACKAGE", field=str(archive))
    aside = directory / f".{uuid.uuid4().hex}.partial"
    try:
        with disk_errors(directory):
            aside.mkdir(parents=True)
            with archive.open("rb") as file, gzip.GzipFile(fileobj=file) as data:
                top = _Reader(data, archive, aside).all()
            place = directory / top
            if place.exists() or place.is_symlink():
                raise AlreadyExists(f"{place} is there already", field=str(place), next_step="Name another.")
            return (aside / top).rename(place)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise refused(_words(error), archive) from None
    finally:
        remove_tree(aside)


class _Reader:
    def __init__(self, data: gzip.GzipFile, archive: Path, aside: Path) -> None:
        self._data, self._archive, self._aside = data, archive, aside

    def all(self) -> str:
        first = self._header()
        if first is None:
            raise self._wrong("is an empty tar, or no tar at all")
        top, _, name = first.name.partition("/")
        wanted = package_name(top)
        if name != MANIFEST or wanted is None:
            raise self._wrong(f"does not begin with agentforge-<name>/{MANIFEST} but with {first.name[:100]!r}")
        manifest = self._manifest(first, top)
        if manifest.name != wanted:
            raise self._wrong(f"is called {wanted!r} by its folder and {manifest.name!r} by its manifest")
        self._check_total(manifest)
        self._files(manifest, top)
        self._end()
        return top

    def _manifest(self, entry: tarfile.TarInfo, top: str) -> Manifest:
        if entry.size > MAX_BYTES:
            raise self._wrong(f"has a {MANIFEST} of {entry.size:,} bytes; {MAX_BYTES:,} are the most")
        self._extract(entry, self._aside / top / MANIFEST)
        return read_manifest((self._aside / top / MANIFEST).read_bytes())

    def _check_total(self, manifest: Manifest) -> None:
        total, packed = manifest.total, self._archive.stat().st_size
        if total > MAX_TOTAL:
            raise self._wrong(f"would unpack to {total:,} bytes; {MAX_TOTAL:,} are the most", "PACKAGE_BOMB")
        if total > _RATIO_FROM and total > _MOST_RATIO * packed:
            times = f"{total / packed:,.0f} times its size; {_MOST_RATIO} times are the most"
            raise self._wrong(f"would unpack to {total:,} bytes, {times}", "PACKAGE_BOMB")
        if total > shutil.disk_usage(self._aside).free:
            raise no_space(self._aside.parent / top_folder(manifest.name), total)

    def _files(self, manifest: Manifest, top: str) -> None:
        seen = {MANIFEST}
        for entry in self._headers():
            folder, _, path = entry.name.partition("/")
            if folder != top or path in ("", MANIFEST) or (path != SIGNATURE and path not in manifest.files):
                twice = path == MANIFEST and folder == top
                what = "twice" if twice else ", which its manifest does not list"
                raise self._wrong(f"holds {entry.name[:200]!r} {what}".replace(" ,", ","), "PACKAGE_FOREIGN_FILE")
            if path in seen:
                raise self._wrong(f"holds {path} twice", "PACKAGE_FOREIGN_FILE")
            seen.add(path)
            self._check_size(path, entry.size, manifest)
            self._extract(entry, self._aside / top / path, mode_of(path))

    def _check_size(self, path: str, size: int, manifest: Manifest) -> None:
        record = manifest.files.get(path)
        if record is None and size > MAX_SIGNATURE:
            raise self._wrong(f"has a {SIGNATURE} of {size:,} bytes; {MAX_SIGNATURE:,} are the most")
        if record is not None and size != record.bytes:
            message = f"holds {path} with {size:,} bytes where its manifest says {record.bytes:,}"
            raise self._wrong(message, "PACKAGE_FILE_ALTERED")

    def _extract(self, entry: tarfile.TarInfo, place: Path, mode: int = 0o644) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("xb") as file:
            left = entry.size
            while left:
                chunk = self._data.read(min(left, _CHUNK))
                if not chunk:
                    raise EOFError
                file.write(chunk)
                left -= len(chunk)
        place.chmod(mode)
        self._exactly(-entry.size % BLOCK)

    def _headers(self) -> Iterator[tarfile.TarInfo]:
        while (entry := self._header()) is not None:
            yield entry

    def _header(self) -> tarfile.TarInfo | None:
        """Of the next file; None at the end. One block alone is read: no header of ours has another before it."""
        block = self._exactly(BLOCK)
        if not any(block):
            return None
        try:
            entry = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError, ValueError) as error:
            raise self._wrong(f"holds no tar: {error}") from None
        if entry.type != tarfile.REGTYPE:
            raise self._wrong(f"holds {entry.name[:200]!r}, {_kind(entry)}", "PACKAGE_FOREIGN_FILE")
        if entry.size < 0:
            raise self._wrong(f"holds {entry.name[:200]!r} with a negative size")
        return entry

    def _end(self) -> None:
        """A second block of zeros, some padding, and the gzip's own digest, which is read with them."""
        rest = self._data.read(_PADDING + 1)
        if len(rest) > _PADDING or any(rest):
            raise self._wrong("goes on after its end")

    def _exactly(self, size: int) -> bytes:
        data = self._data.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def _wrong(self, what: str, reason: str = "BAD_PACKAGE") -> DataLoss:
        return refused(what, self._archive, reason)


def refused(what: str, archive: Path, reason: str = "BAD_PACKAGE") -> DataLoss:
    step = "Get it again from where it was made; do not unpack it by other means."
    return DataLoss(f"{archive.name} {what}", reason=reason, field=str(archive), next_step=step)


def _words(error: Exception) -> str:
    if isinstance(error, gzip.BadGzipFile) and "Not a gzipped" in str(error):
        return "is no gzip file"
    return "ends too early" if isinstance(error, EOFError) else f"is damaged: {error}"


def _kind(entry: tarfile.TarInfo) -> str:
    kinds = {
        tarfile.SYMTYPE: "a symbolic link", tarfile.LNKTYPE: "a hard link", tarfile.DIRTYPE: "a directory",
        tarfile.CHRTYPE: "a device", tarfile.BLKTYPE: "a device", tarfile.FIFOTYPE: "a pipe",
    }  # fmt: skip
    return kinds.get(entry.type, f"an entry of type {entry.type!r}") + "; packages consist of regular files"
