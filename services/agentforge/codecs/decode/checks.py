"""What every decoder asks of a payload before it computes. Of Python 3.8, with numpy alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..payload import Broken, Payload


def whole(payload: Payload, name: str, low: int, high: int) -> int:
    """A setting that is a whole number from low to high."""
    value: Any = payload.settings.get(name)
    if type(value) is not int or not low <= value <= high:
        raise Broken(f"setting {name} is {value!r}, and not a whole number from {low} to {high}")
    return value


def stream(payload: Payload, name: str, shape: tuple[int, ...], kinds: str) -> np.ndarray:
    """`kinds`: the types that it may have, in numpy's short words."""
    if name not in payload.streams:
        raise Broken(f"stream {name} is missing")
    values = payload.streams[name].values
    if values.shape != shape or values.dtype.str[1:] not in kinds.split():
        raise Broken(f"stream {name} is {values.dtype} {values.shape}, and not {kinds} {shape}")
    return values


def levels(payload: Payload, name: str, count: int) -> None:
    """Its symbols are below count: so a table of that length has them all."""
    if payload.streams[name].levels != count:
        raise Broken(f"stream {name} has {payload.streams[name].levels} levels, and not {count}")


def only(payload: Payload, *names: str) -> None:
    extra = sorted(set(payload.streams) - set(names))
    if extra:
        raise Broken(f"stream {extra[0]} does not belong to codec {payload.codec}")


def matrix(payload: Payload) -> tuple[int, int]:
    """Rows and columns, with all axes but the last taken together."""
    if not payload.shape:
        raise Broken("a tensor without axes has no rows")
    columns = payload.shape[-1]
    rows = 1
    for each in payload.shape[:-1]:
        rows *= each
    return rows, columns
