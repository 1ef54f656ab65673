"""One message of a recording: a JSON header and the bytes of arrays (channels.py says how)."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.recording.channels import DTYPES, DTYPES_IN_WORDS

Arrays = dict[str, NDArray[Any]]
_MOST_AXES = 8
LAST_LETTER = 0x10FFFF


class BadMessage(ValueError):
    """Says what is wrong with the bytes; the reader adds where."""


def pack(header: Mapping[str, object], arrays: Mapping[str, object]) -> bytes:
    listed, parts = [], []
    for name, given in arrays.items():
        array = np.asarray(given)
        little = array.dtype.newbyteorder("<")
        if little.str not in DTYPES:
            raise ValueError(f"{name} has dtype {array.dtype}; recordings hold {DTYPES_IN_WORDS}")
        listed.append({"name": name, "dtype": little.str, "shape": list(array.shape)})
        parts.append(array.astype(little, copy=False).tobytes())
    words = json.dumps({**header, "arrays": listed}, sort_keys=True, separators=(",", ":")).encode()
    return b"".join((struct.pack("<I", len(words)), words, *parts))


def unpack(data: bytes) -> tuple[dict[str, Any], Arrays]:
    header, at = _header(data)
    listed = header.pop("arrays", None)
    if not isinstance(listed, list):
        raise BadMessage("the header has no list `arrays`")
    arrays: Arrays = {}
    for each in listed:
        name, dtype, shape = _described(each)
        if name in arrays:
            raise BadMessage(f"the array {name!r} is there twice")
        size = math.prod(shape) * dtype.itemsize
        if at + size > len(data):
            raise BadMessage(f"the array {name!r} needs {size} bytes, and {len(data) - at} are left")
        flat = np.frombuffer(data, dtype, math.prod(shape), at)
        if dtype.kind == "U" and flat.size and int(flat.view("<u4").max()) > LAST_LETTER:
            raise BadMessage(f"the array {name!r} holds what is no text")
        arrays[name] = flat.reshape(shape).copy()
        at += size
    if at != len(data):
        raise BadMessage(f"{len(data) - at} bytes too many")
    return header, arrays


def _header(data: bytes) -> tuple[dict[str, Any], int]:
    if len(data) < 4:
        raise BadMessage(f"{len(data)} bytes, less than a length of a header")
    (length,) = struct.unpack_from("<I", data)
    if 4 + length > len(data):
        raise BadMessage(f"a header of {length} bytes in a message of {len(data)}")
    try:
        header = json.loads(data[4 : 4 + length])
    except (ValueError, RecursionError) as error:
        raise BadMessage(f"the header is no JSON: {error}") from error
    if not isinstance(header, dict):
        raise BadMessage("the header is no JSON object")
    return header, 4 + length


def _described(each: object) -> tuple[str, np.dtype[Any], tuple[int, ...]]:
    if not isinstance(each, dict):
        raise BadMessage(f"an array is described by {each!r}")
    name, dtype, shape = each.get("name"), each.get("dtype"), each.get("shape")
    if not isinstance(name, str) or dtype not in DTYPES:
        raise BadMessage(f"array {name!r} of dtype {dtype!r}; known are {DTYPES_IN_WORDS}")
    if not isinstance(shape, list) or len(shape) > _MOST_AXES:
        raise BadMessage(f"array {name!r} of shape {shape!r}")
    if any(type(n) is not int or not 0 <= n < 2**31 for n in shape):
        raise BadMessage(f"array {name!r} of shape {shape!r}")
    return name, np.dtype(dtype), tuple(shape)
