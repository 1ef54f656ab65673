"""Writes model.forge (see container): each stream in the coding that takes the fewest bytes."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from agentforge.codecs import entropy, packing
from agentforge.codecs.container import DIGEST, MAGIC, TYPES, VERSION, allowance, weight
from agentforge.codecs.payload import Payload, Stream
from agentforge.kit.digests import canonical_json
from agentforge.kit.errors import InvalidInput
from agentforge.kit.files import write_atomic

CODINGS = ("raw", "bits", "trits", "rans", "planes")  # of equal bytes, the first


def write(
    path: Path, payloads: Mapping[str, Payload], metadata: Mapping[str, Any] | None = None, *, entropy: bool = True
) -> Path:
    """`entropy` off: nothing is entropy-coded, as a peer to compare with, or for the quickest loading."""
    write_atomic(path, to_bytes(payloads, metadata, entropy=entropy))
    return path


def to_bytes(
    payloads: Mapping[str, Payload], metadata: Mapping[str, Any] | None = None, *, entropy: bool = True
) -> bytes:
    entries, body = [], bytearray()
    for name, payload in sorted(payloads.items()):
        streams = []
        for own, stream in sorted(payload.streams.items()):
            kind = _kind(name, stream)
            coding, coded = smallest(stream, entropy)
            shape = 0 if stream.values.shape == tuple(payload.shape) else list(stream.values.shape)
            streams.append([own, kind, shape, stream.levels, coding, len(coded)])
            body += coded
        entries.append([name, payload.codec, list(payload.shape), payload.settings, streams])
    text = canonical_json({"m": dict(metadata or {}), "t": entries})
    header = zlib.compress(text, 9)
    lengths = len(header).to_bytes(4, "little") + len(text).to_bytes(4, "little")
    whole = b"".join((MAGIC, bytes([VERSION]), lengths, header, body))
    _check(payloads, len(whole) + DIGEST)
    return whole + hashlib.sha256(whole).digest()


def smallest(stream: Stream, entropy: bool = True) -> tuple[str, bytes]:
    """The coding, and the bytes."""
    coded = dict(_ways(stream, entropy))
    best = min(coded, key=lambda coding: (len(coded[coding]), CODINGS.index(coding)))
    return best, coded[best]


def _ways(stream: Stream, entropy_too: bool) -> Iterator[tuple[str, bytes]]:
    values, levels = stream.values, stream.levels
    raw = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False)
    yield "raw", raw.tobytes()
    if levels:
        yield "bits", packing.pack(raw, packing.width(levels))
    if levels == 3:
        yield "trits", packing.pack_trits(raw)
    if entropy_too and levels and values.size and levels <= entropy.MOST_LEVELS:
        yield "rans", entropy.encode(raw, levels)
    if entropy_too and not levels and values.size and values.dtype.kind == "f":
        yield "planes", _planes(raw)


def _planes(raw: np.ndarray) -> bytes:
    bytes_NB = raw.reshape(-1).view(np.uint8).reshape(raw.size, raw.itemsize)
    found = []
    for plane in np.ascontiguousarray(bytes_NB.T):
        coded = entropy.encode(plane, 256)
        shorter = len(coded) < plane.size
        found += [(len(coded) if shorter else 0).to_bytes(4, "little"), coded if shorter else plane.tobytes()]
    return b"".join(found)


def _kind(tensor: str, stream: Stream) -> str:
    kind = stream.values.dtype.newbyteorder("<").str
    if kind not in TYPES or (stream.levels and stream.values.dtype.kind != "u"):
        raise ValueError(f"{tensor}: symbols of {stream.levels} levels are no {stream.values.dtype}")
    if stream.levels and stream.values.size and int(stream.values.max()) >= stream.levels:
        raise ValueError(f"{tensor}: a symbol is {stream.values.max()} of {stream.levels} levels")
    return kind


def _check(payloads: Mapping[str, Payload], size: int) -> None:
    """Nothing is written that the reader refuses."""
    numbers = sum(weight(payload) for payload in payloads.values())
    if numbers > allowance(size):
        message = f"{numbers:,} numbers would be in {size:,} bytes: readers take that for a hostile file"
        step = "Leave out tensors that are the same number everywhere."
        raise InvalidInput(message, reason="NOT_STORABLE", field="tensors", next_step=step)
