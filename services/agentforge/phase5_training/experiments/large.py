"""Measures for `loading`: files of 10 GB, really written, and what reading them adds to a process's memory.

Each needs a process of its own, compared with what is resident before; and 11 GB of the temporary directory.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import re
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentforge.data.codec import Codec
from agentforge.data.sources.documents import texts
from agentforge.data.sources.files import FileSource
from agentforge.data.sources.stdlib import Part, StandardLibrary
from agentforge.data.splits import Split
from agentforge.data.tokens import Windows
from agentforge.kit.rng import Rng
from agentforge.phase5_training.configs.data import TEXT, TOKENS, DataConfig
from agentforge.phase5_training.experiments.stalls import codec_of
from agentforge.phase5_training.sources import Given, Places

_BYTES = 10_000_000_000
_CHUNK = 1 << 24  # bytes written at a time
_LENGTH = 1_024  # tokens of a row
_SPREAD = 50_000  # rows in the order of training
_LINE = 4_096  # bytes of a line of JSONL
_TRAINED, _READ = 30_000_000, 1_000_000_000  # bytes of text that become rows, and documents
_DATA = DataConfig(length=_LENGTH)


def measure(kind: str) -> dict[str, Any]:
    corpus = StandardLibrary(Part.DOCSTRINGS, every=4)
    codec = codec_of(corpus, 42)
    with TemporaryDirectory(prefix="af-loading-") as folder:
        return {"tokens": _tokens, "text": _text}[kind](Path(folder), corpus, codec)


def _tokens(folder: Path, corpus: StandardLibrary, codec: Codec) -> dict[str, Any]:
    small, large = folder / "small.bin", folder / "large.bin"
    random = Rng(42, "loading/large").numpy()
    _write(small, _CHUNK, lambda: random.integers(0, codec.vocabulary, _CHUNK // 2, "<u2"))
    _through_tokens(small, folder, codec, 100)  # what is loaded for the first file is not the second's
    _write(large, _BYTES, lambda: random.integers(0, codec.vocabulary, _CHUNK // 2, "<u2"))
    before = _settled()
    found = _through_tokens(large, folder, codec, _SPREAD)
    return {**found, "peak_bytes": _resident("VmHWM") - before, "file_bytes": large.stat().st_size}


def _through_tokens(path: Path, folder: Path, codec: Codec, spread: int) -> dict[str, Any]:
    start = time.perf_counter()
    given = Given(Places(folder, tokens=path), _DATA, codec, 42)
    rows = given.rows(TOKENS)
    opened = time.perf_counter()
    for number in range(spread):
        rows.row(number)
    spread_s = time.perf_counter() - opened
    windows = Windows(given._windows(Split.TRAIN).tokens, _LENGTH)  # of all splits, so that every byte is read
    whole = time.perf_counter()
    total = sum(int(windows.read(number).sum()) for number in range(len(windows)))
    assert total > 0
    return {
        "opened_s": opened - start, "spread_rows": spread, "spread_s": spread_s, "rows": len(windows),
        "whole_s": time.perf_counter() - whole, "length": _LENGTH,
    }  # fmt: skip


def _text(folder: Path, corpus: StandardLibrary, codec: Codec) -> dict[str, Any]:
    small, large = folder / "small.jsonl", folder / "large.jsonl"
    lines = _Lines("\n".join(islice(texts(corpus), 4_000)))
    _write(small, _CHUNK, lines)
    _through_text(small, folder, codec, _CHUNK // 4, _CHUNK // 2)
    _write(large, _BYTES, lines)
    before = _settled()
    found = _through_text(large, folder, codec, _TRAINED, _READ)
    return {**found, "peak_bytes": _resident("VmHWM") - before, "file_bytes": large.stat().st_size}


def _through_text(path: Path, folder: Path, codec: Codec, trained: int, read: int) -> dict[str, Any]:
    """As rows, as documents, and once more as rows far behind."""
    start = time.perf_counter()
    given = Given(Places(folder, [path]), _DATA, codec, 42)
    opened = time.perf_counter()
    rows = given.rows(TEXT)
    while rows.state_dict()["cursor"][1] < trained:
        for _ in range(100):
            rows.row(0)
    trained_s = time.perf_counter() - opened
    documents = time.perf_counter()
    for _, (_, place) in FileSource([path], folder).read():
        if place >= read:
            break
    read_s = time.perf_counter() - documents
    last = path.stat().st_size // _LINE * _LINE - 256 * _LINE
    state = {**rows.state_dict(), "cursor": [0, last], "gone": 0}
    resuming = time.perf_counter()
    resumed = given.rows(TEXT)
    resumed.load_state_dict(state)
    resumed.row(0)
    return {
        "opened_s": opened - start, "trained_bytes": trained, "trained_s": trained_s, "read_bytes": read,
        "read_s": read_s, "resumed_at": last, "resumed_s": time.perf_counter() - resuming,
    }  # fmt: skip


class _Lines:
    """Chunks of JSONL, each line of the same size, and no two alike: a number stands before its text."""

    def __init__(self, text: str) -> None:
        head, tail = b'{"text": "0000000000 ', b'"}\n'
        plain = re.sub(rb"[^ -!#-\[\]-~]+", b" ", text.encode())  # nothing that JSON would write otherwise
        room = _LINE - len(head) - len(tail)
        starts = Rng(42, "loading/lines").numpy().integers(0, len(plain) - room, _CHUNK // _LINE)
        lines = b"".join(head + plain[start : start + room] + tail for start in starts.tolist())
        self.lines_LB: NDArray[np.uint8] = np.frombuffer(lines, np.uint8).reshape(-1, _LINE).copy()
        self.place, self.number = head.index(b"0"), 0
        assert json.loads(self.lines_LB[0].tobytes())

    def __call__(self) -> NDArray[np.uint8]:
        numbers_L = np.arange(self.number, self.number + len(self.lines_LB))
        for digit in range(10):
            self.lines_LB[:, self.place + 9 - digit] = ord("0") + numbers_L // 10**digit % 10
        self.number += len(self.lines_LB)
        return self.lines_LB


def _write(path: Path, size: int, chunk: Callable[[], NDArray[Any]]) -> None:
    """At least so many bytes, on disk: what is read later does not lie in memory already."""
    with path.open("wb") as file:
        while file.tell() < size:
            file.write(chunk().tobytes())
            os.fdatasync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _settled() -> int:
    """Resident now, with what is free given back; the highest so far is from here on the highest since."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _resident("VmRSS")


def _resident(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return 1024 * int(found[1])
