"""model.forge: the weights of a whole model in one file. What is in a file is read here, and checked first.

    magic     8 bytes: "AGFORGE" and the version
    lengths   two uint32: of the header as it lies here, and as it is when inflated
    header    JSON by zlib: {"m": metadata, "t": [[tensor, codec, shape, settings, streams], …]}, sorted by tensor
              streams: [[stream, type, shape, levels, coding, bytes], …], sorted by stream; type as numpy writes it;
              shape 0 for the tensor's own
    streams   in that order, with nothing between them: so none can overlap
    digest    SHA-256 of all before it

Codings: raw; bits, each symbol in equal many (see packing); trits; rans (see entropy); planes, for numbers of
several bytes: all first bytes, all second ones, …, each a length (uint32, 0 for raw) and a stream of rans or raw.
Nothing is allocated that the file's own length does not warrant. Of Python 3.8, with numpy alone.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import entropy, packing
from .payload import Broken, Payload, Stream

FILE = "model.forge"
MAGIC = b"AGFORGE"
VERSION = 1
HEAD, DIGEST = 16, 32  # bytes
TYPES = ("|u1", "|i1", "|b1", "<u2", "<u4", "<u8", "<i2", "<i4", "<i8", "<f2", "<f4", "<f8")
_MOST_HEADER = 1 << 26
_MOST_PER_BYTE, _ALWAYS = 256, 1 << 20  # numbers that a file may hold for each of its bytes, and in any case


class Stored(NamedTuple):
    """Where a stream lies in the file, and how."""

    tensor: str
    stream: str
    coding: str
    bytes: int


class Forge(NamedTuple):
    """`sizes`: of every stream. `header`: bytes that are of none, with digest and all. `file`: all bytes."""

    payloads: dict[str, Payload]
    metadata: dict[str, Any]
    sizes: list[Stored]
    header: int
    file: int

    def by_tensor(self) -> dict[str, int]:
        found = dict.fromkeys(self.payloads, 0)
        for each in self.sizes:
            found[each.tensor] += each.bytes
        return found

    def by_coding(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for each in self.sizes:
            found[each.coding] = found.get(each.coding, 0) + each.bytes
        return found


def read(path: Path) -> Forge:
    return parse(path.read_bytes())


def parse(data: bytes) -> Forge:
    """Every bit is checked before any of it is believed; and what is then believed makes sense."""
    if len(data) < HEAD + DIGEST or data[:7] != MAGIC:
        raise Broken(f"this is no {FILE}: its first bytes are of something else")
    if data[7] != VERSION:
        raise Broken(f"the file is of version {data[7]}; this program knows {VERSION}")
    if hashlib.sha256(memoryview(data)[:-DIGEST]).digest() != data[-DIGEST:]:
        raise Broken("the digest at its end is of another file: it is cut, or a bit is not what was written")
    header, at = _header(data)
    most = allowance(len(data))
    payloads: dict[str, Payload] = {}
    sizes: list[Stored] = []
    for entry in header["t"]:
        name, payload, stored = _tensor(entry, data, at, most, sorted(payloads)[-1:])
        payloads[name] = payload
        sizes += stored
        at += sum(each.bytes for each in stored)
        most -= weight(payload)
    if at != len(data) - DIGEST:
        raise Broken(f"bytes: there are {len(data) - DIGEST - at} behind the last stream")
    return Forge(payloads, header["m"], sizes, len(data) - sum(each.bytes for each in sizes), len(data))


def _header(data: bytes) -> tuple[dict[str, Any], int]:
    lies, inflated = np.frombuffer(data, "<u4", 2, 8).tolist()
    if HEAD + lies + DIGEST > len(data) or inflated > _MOST_HEADER:
        raise Broken(f"header: its lengths {lies} and {inflated} are not of this file")
    inflate = zlib.decompressobj()
    try:
        text = inflate.decompress(data[HEAD : HEAD + lies], inflated + 1)
        if len(text) != inflated or not inflate.eof or inflate.unused_data:
            raise Broken("header: it is not as long as it says")
        found = json.loads(text.decode("utf-8"))
    except (zlib.error, ValueError, RecursionError) as error:
        if isinstance(error, Broken):
            raise
        raise Broken(f"header: it cannot be read: {error}") from error
    if not isinstance(found, dict) or set(found) != {"m", "t"}:
        raise Broken("header: it is of something else")
    if not isinstance(found["m"], dict) or not isinstance(found["t"], list):
        raise Broken("header: it is of something else")
    return found, HEAD + lies


def _tensor(entry: Any, data: bytes, at: int, most: int, before: list[str]) -> tuple[str, Payload, list[Stored]]:
    if not isinstance(entry, list) or len(entry) != 5 or not isinstance(entry[0], str):
        raise Broken("header: an entry is of no tensor")
    name, codec, shape, settings, streams = entry
    if before and name <= before[0]:
        raise Broken(f"{name}: it comes twice, or out of order")
    if not isinstance(codec, str) or not isinstance(settings, dict) or not isinstance(streams, list):
        raise Broken(f"{name}: its entry in the header makes no sense")
    shape = _shape(name, shape, most)
    held: dict[str, Stream] = {}
    stored: list[Stored] = []
    for each in streams:
        own, found, place = _stream(name, each, shape, data, at, most)
        if list(held)[-1:] >= [own]:
            raise Broken(f"{name}: stream {own} comes twice, or out of order")
        held[own] = found
        stored.append(place)
        at += place.bytes
        most -= found.values.size
    return name, Payload(codec, shape, settings, held), stored


def _stream(
    tensor: str, entry: Any, whole: tuple[int, ...], data: bytes, at: int, most: int
) -> tuple[str, Stream, Stored]:
    if not isinstance(entry, list) or len(entry) != 6 or not isinstance(entry[0], str):
        raise Broken(f"{tensor}: an entry is of no stream")
    name, kind, shape, levels, coding, size = entry
    where = f"{tensor}: stream {name}"
    if kind not in TYPES or type(levels) is not int or not 0 <= levels <= 1 << 16:
        raise Broken(f"{where} is of no type or levels that are known")
    shape = whole if shape == 0 else _shape(where, shape, most)
    if type(size) is not int or not 0 <= size <= len(data) - DIGEST - at:
        raise Broken(f"{where}: its {size!r} bytes are not in the file")
    count = _count(shape)
    try:
        values = _decoded(data[at : at + size], coding, np.dtype(kind), count, levels)
    except Broken as error:
        raise Broken(f"{where}: {error}") from error
    if levels and count and int(values.max()) >= levels:
        raise Broken(f"{where} holds a symbol that is not below {levels}")
    return name, Stream(values.reshape(shape), levels), Stored(tensor, name, coding, size)


def _decoded(data: bytes, coding: Any, kind: np.dtype[Any], count: int, levels: int) -> np.ndarray:
    """[count] of this type."""
    if levels and kind.kind != "u":
        raise Broken(f"symbols are of type {kind}")
    if coding == "raw":
        if len(data) != count * kind.itemsize:
            raise Broken(f"{count} numbers do not take {len(data)} bytes")
        if kind.kind == "b" and data.strip(b"\0\1"):
            raise Broken("a truth value is neither 0 nor 1")
        return np.frombuffer(data, kind)
    if coding == "planes" and not levels:
        return _planes(data, kind, count)
    if coding == "bits" and levels:
        return packing.unpack(data, count, packing.width(levels)).astype(kind, copy=False)
    if coding == "trits" and levels == 3:
        return packing.unpack_trits(data, count).astype(kind, copy=False)
    if coding == "rans" and levels:
        return entropy.decode(data, count, levels).astype(kind, copy=False)
    raise Broken(f"coding {coding!r} is not known for it")


def _planes(data: bytes, kind: np.dtype[Any], count: int) -> np.ndarray:
    bytes_NB, at = np.empty((count, kind.itemsize), np.uint8), 0
    for place in range(kind.itemsize):
        coded = int.from_bytes(data[at : at + 4], "little")
        end = at + 4 + (coded or count)
        if end > len(data):
            raise Broken("a plane is cut")
        part = data[at + 4 : end]
        bytes_NB[:, place] = entropy.decode(part, count, 256) if coded else np.frombuffer(part, np.uint8)
        at = end
    if at != len(data):
        raise Broken("there is more behind its planes")
    return bytes_NB.view(kind).reshape(count)


def _shape(where: str, shape: Any, most: int) -> tuple[int, ...]:
    """Checked before any number of that size is made."""
    if not isinstance(shape, list) or len(shape) > 8 or any(type(n) is not int or n < 0 for n in shape):
        raise Broken(f"{where}: {shape!r} is no shape")
    if _count(shape) > most:
        raise Broken(f"{where}: shape {shape} is more than a file of this length can hold")
    return tuple(shape)


def allowance(size: int) -> int:
    """How many numbers a file of that many bytes may hold: so it cannot ask for more memory than it warrants."""
    return _MOST_PER_BYTE * size + _ALWAYS


def _count(shape: Any) -> int:
    found = 1
    for each in shape:
        found *= each
    return found


def weight(payload: Payload) -> int:
    return _count(payload.shape) + sum(each.values.size for each in payload.streams.values())
