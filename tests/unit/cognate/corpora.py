"""Text as users bring it: good, and bad in every way that somebody thought of."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from agentforge.data.sources.documents import texts
from agentforge.data.sources.stdlib import Part, StandardLibrary

Maker = Callable[[Path], None]
"""Fills an empty directory."""


def good_text() -> str:
    """About 100 KiB of docstrings, an empty line between them."""
    return "\n\n".join(texts(StandardLibrary(Part.DOCSTRINGS, every=20)))


def file(name: str, content: bytes | str) -> Maker:
    raw = content.encode() if isinstance(content, str) else content
    return lambda place: (place / name).write_bytes(raw) and None


def parquet(**columns: list[object]) -> Maker:
    return lambda place: pq.write_table(pa.table(columns), place / "table.parquet")


def parquet_of_bytes(place: Path) -> None:
    """A column that says it is text, and is not."""
    offsets, data = np.array([0, 2], np.int32).tobytes(), b"\xff\xfe"
    column = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    pq.write_table(pa.table({"text": column}), place / "table.parquet")


def cut_parquet(place: Path) -> None:
    parquet(text=["a"])(place)
    table = place / "table.parquet"
    table.write_bytes(table.read_bytes()[:-20])


def hdf5_group(place: Path) -> None:
    with h5py.File(place / "table.h5", "w") as table:
        table.create_group("text")


def hdf5_of_bytes(place: Path) -> None:
    with h5py.File(place / "table.h5", "w") as table:
        table.create_dataset("text", data=np.array([b"\xff\xfe"]), dtype=h5py.string_dtype())


def good_and_junk(place: Path) -> None:
    (place / "a.txt").write_text(good_text())
    (place / "b.txt").write_bytes(b"fine at first\n" * 100 + bytes(range(128, 256)))


def pipe(place: Path) -> None:
    (place / "a.txt").write_text(good_text())
    os.mkfifo(place / "pipe.txt")


def link_out(place: Path) -> None:
    (place / "passwords.txt").symlink_to("/etc/passwd")


# name: (what is in the directory, reason, what the message must name)
BAD: dict[str, tuple[Maker, str, str]] = {
    "nothing": (lambda place: None, "EMPTY_ARTIFACT", "holds no files"),
    "empty file": (file("a.txt", b""), "CORPUS_TOO_SMALL", "0 documents"),
    "one byte": (file("a.txt", b"x"), "CORPUS_TOO_SMALL", "1 too_short"),
    "white space": (file("a.txt", " \n" * 5_000), "CORPUS_TOO_SMALL", "too_short"),
    "one word": (file("a.txt", "a" * 100_000), "CORPUS_TOO_SMALL", "long_words"),
    "one line again and again": (file("a.txt", "say it again\n" * 5_000), "CORPUS_TOO_SMALL", "repeated_lines"),
    "numbers": (file("a.txt", "12 34 56 78\n\n" * 5_000), "CORPUS_TOO_SMALL", "few_letters"),
    "binary": (file("a.txt", bytes(range(256)) * 40), "NOT_TEXT", "a.txt: byte 128"),
    "binary, later": (good_and_junk, "NOT_TEXT", "b.txt: byte 1400"),
    "zero bytes": (file("a.md", b"text\0text"), "NOT_TEXT", "a.md: byte 4"),
    "UTF-16": (file("a.txt", "text".encode("utf-16")), "NOT_TEXT", "a.txt: byte 0"),
    "UTF-16, no mark": (file("a.txt", "text".encode("utf-16-le")), "NOT_TEXT", "a.txt: byte 1"),
    "Latin-1": (file("a.txt", "café au lait".encode("latin-1")), "NOT_TEXT", "a.txt: byte 3"),
    "unknown format": (file("a.docx", b"PK"), "EMPTY_CORPUS", "nothing to read"),
    "pickle": (file("a.pkl", pickle.dumps(["text"])), "PICKLE_REFUSED", "a.pkl"),
    "JSONL without text": (file("a.jsonl", '{"body": "x"}\n'), "TOO_MANY_BROKEN_LINES", "no text in field 'text'"),
    "JSONL of numbers": (file("a.jsonl", '{"text": 7}\n'), "TOO_MANY_BROKEN_LINES", "a.jsonl, byte 0"),
    "no JSON": (file("a.jsonl", '{"text": "x"}\n{"te\n'), "TOO_MANY_BROKEN_LINES", "a.jsonl, byte 14"),
    "JSON too deep": (file("a.jsonl", "[" * 100_000), "TOO_MANY_BROKEN_LINES", "a.jsonl, byte 0"),
    "half a character": (file("a.jsonl", '{"text": "\\ud800"}\n'), "TOO_MANY_BROKEN_LINES", "surrogate"),
    "Parquet without text": (parquet(number=[1, 2]), "NO_FIELD", "table.parquet has no field 'text'"),
    "Parquet of numbers": (parquet(text=[1, 2]), "NOT_TEXT", "table.parquet"),
    "Parquet with a hole": (parquet(text=[None, "a"]), "NOT_TEXT", "holds None"),
    "Parquet of bytes": (parquet_of_bytes, "NOT_TEXT", "not UTF-8"),
    "Parquet, cut": (cut_parquet, "BROKEN_FILE", "table.parquet"),
    "HDF5 group": (hdf5_group, "NO_FIELD", "table.h5"),
    "HDF5 of bytes": (hdf5_of_bytes, "NOT_TEXT", "row 0"),
    "no HDF5": (file("a.h5", b"junk"), "BROKEN_FILE", "a.h5"),
    "pipe": (pipe, "NOT_A_REGULAR_FILE", "pipe.txt"),
    "link out of the volume": (link_out, "NOT_A_REGULAR_FILE", "passwords.txt"),
}
