"""Files into one that Python runs: the same bytes for the same files (and zlib), and no cut that goes unnoticed.

Python looks for a zip's end within the last 64 KiB. So that it finds one in a file that is cut, too, small zips lie
between the pieces, whose program says what happened. All bytes are told by the digest at the end, which the first
few lines that run compare.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping

PIECE = 48 << 10  # bytes between two of the small zips are 64 KiB less what a zip has around an entry
SHEBANG = b"#!/usr/bin/env python3\n"
ROOT = "agentforge_solo"
_MARK = b"sha256:"
_TIME = (1980, 1, 1, 0, 0, 0)
_MAIN = "__main__.py"

_DAMAGED = "is damaged: a part of it is missing or was changed. Get it once more."
_CUT_PROGRAM = f"import sys\nsys.stderr.write(sys.argv[0] + ' {_DAMAGED}\\n')\nsys.exit(2)\n"
# Python before 3.8 does not get as far as this: it takes no zip that ends with a comment.
_PROGRAM = f"""import hashlib, sys
with open(__loader__.archive, 'rb') as file:
    data = file.read()
if data[-64:] != hashlib.sha256(data[:-64]).hexdigest().encode():
    sys.stderr.write(sys.argv[0] + ' {_DAMAGED}\\n')
    sys.exit(2)
try:
    import numpy
except ImportError as error:
    sys.exit('numpy is needed: python3 -m pip install numpy (%s)' % error)
sys.dont_write_bytecode = True
from {ROOT}.edge.device.solo.main import main
sys.exit(main(__loader__.archive))
"""


def pack(code: Mapping[str, bytes], files: Mapping[str, bytes], stored: str) -> bytes:
    """`code` by path below the root; `files` by name. `stored`: the one that is compressed already."""
    whole = io.BytesIO(SHEBANG)
    whole.seek(0, io.SEEK_END)
    with zipfile.ZipFile(whole, "w") as archive:
        put = _Putting(archive, whole)
        put.entry(_MAIN, _PROGRAM.encode(), zipfile.ZIP_STORED)
        for path, data in sorted(code.items()):
            put.entry(f"{ROOT}/{path}", data, zipfile.ZIP_DEFLATED)
        for name, data in sorted(files.items()):
            how = zipfile.ZIP_STORED if name == stored else zipfile.ZIP_DEFLATED
            for number, start in enumerate(range(0, len(data), PIECE)):
                put.entry(f"{name}/{number:03}", data[start : start + PIECE], how)
        put.cut()
        archive.comment = _MARK + b"0" * 64
    data = whole.getvalue()[:-64]
    return data + hashlib.sha256(data).hexdigest().encode()


class _Putting:
    def __init__(self, archive: zipfile.ZipFile, whole: io.BytesIO) -> None:
        self.archive, self.whole, self.cuts = archive, whole, 0
        self.last_cut = -PIECE  # so that one comes first

    def entry(self, name: str, data: bytes, how: int) -> None:
        if self.whole.tell() + len(data) - self.last_cut > PIECE:
            self.cut()
        _put(self.archive, name, data, how)

    def cut(self) -> None:
        _put(self.archive, f"cut/{self.cuts:03}", _small_zip(), zipfile.ZIP_STORED)
        self.cuts, self.last_cut = self.cuts + 1, self.whole.tell()


def _small_zip() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        _put(archive, _MAIN, _CUT_PROGRAM.encode(), zipfile.ZIP_STORED)
    return data.getvalue()


def _put(archive: zipfile.ZipFile, name: str, data: bytes, how: int) -> None:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.create_system, entry.external_attr, entry.compress_type = 3, 0o644 << 16, how
    archive.writestr(entry, data, compresslevel=9)
