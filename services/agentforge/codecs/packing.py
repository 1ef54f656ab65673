"""Whole numbers in as few whole bits as they need, first ones in low bits. Of Python 3.8, with numpy alone."""

from __future__ import annotations

import numpy as np

from .payload import Broken

_SPAN = 1 << 18  # symbols at once, so that single bits never take much memory; a multiple of 8
_POWERS = np.array([1, 3, 9, 27, 81], np.uint8)


def width(levels: int) -> int:
    """Bits for a number from 0 to levels - 1."""
    return max(1, (levels - 1).bit_length())


def packed_bytes(count: int, bits: int) -> int:
    return -(-count * bits // 8)


def pack(values: np.ndarray, bits: int) -> bytes:
    """Of 1 to 16 bits each."""
    flat = values.reshape(-1)
    if bits in (8, 16):
        return flat.astype(f"<u{bits // 8}").tobytes()
    shifts = np.arange(bits, dtype=flat.dtype)
    spans = (flat[at : at + _SPAN] for at in range(0, flat.size, _SPAN))
    return b"".join(
        np.packbits(((span[:, None] >> shifts) & 1).astype(np.uint8), bitorder="little").tobytes() for span in spans
    )


def unpack(data: bytes, count: int, bits: int) -> np.ndarray:
    """uint8 [count], uint16 above 8 bits."""
    if not 1 <= bits <= 16 or len(data) != packed_bytes(count, bits):
        raise Broken(f"{count} numbers of {bits} bits do not take {len(data)} bytes")
    kind = np.uint8 if bits <= 8 else np.uint16
    if bits in (8, 16):
        return np.frombuffer(data, f"<u{bits // 8}").astype(kind)
    found = np.empty(count, kind)
    weights: np.ndarray = (1 << np.arange(bits)).astype(kind)
    for at in range(0, count, _SPAN):
        many = min(_SPAN, count - at)
        part = np.frombuffer(data, np.uint8, packed_bytes(many, bits), at * bits // 8)
        each = np.unpackbits(part, bitorder="little", count=many * bits).reshape(many, bits)
        found[at : at + many] = (each * weights).sum(1, dtype=kind)
    return found


def pack_trits(values: np.ndarray) -> bytes:
    """Five of 0, 1, 2 to a byte."""
    flat = values.reshape(-1).astype(np.uint8)
    full = np.zeros(-(-flat.size // 5) * 5, np.uint8)
    full[: flat.size] = flat
    found: bytes = (full.reshape(-1, 5) * _POWERS).sum(1, dtype=np.uint8).tobytes()
    return found


def unpack_trits(data: bytes, count: int) -> np.ndarray:
    if len(data) != -(-count // 5):
        raise Broken(f"{count} trits do not take {len(data)} bytes")
    each = np.frombuffer(data, np.uint8)
    if each.size and int(each.max()) >= 243:
        raise Broken("a byte holds no five trits")
    return (each[:, None] // _POWERS % 3).reshape(-1)[:count]
