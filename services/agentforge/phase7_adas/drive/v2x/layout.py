"""Fixed-layout UPER: a sequence of bounded integers without options, read and written without a tree of objects.

In UPER an integer of low..high is `(high - low).bit_length()` bits of `value - low`, an enumeration without
extension is such an integer, and a fixed-size bit or octet string is its bits; a sequence without options adds
nothing. So such a message is one long number. This reads many of them at once with numpy. It is equal to pycrate
by test, but also refuses padding that is not zero, which pycrate does not look at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.truth import Ints

SPAN = 8
"""Octets that are fetched for a field: one of up to 32 bits touches five, eight are one machine word."""


@dataclass(frozen=True)
class Field:
    name: str
    low: int
    high: int

    @property
    def bits(self) -> int:
        return (self.high - self.low).bit_length()


class Layout:
    def __init__(self, fields: Sequence[Field]) -> None:
        if any(not 1 <= each.bits <= 32 for each in fields):
            raise ValueError("a field of a layout has 1 to 32 bits")
        self.fields = tuple(fields)
        self.bits = sum(each.bits for each in fields)
        self.octets = (self.bits + 7) // 8
        self.at = {each.name: column for column, each in enumerate(self.fields)}

    def write(self, values: Mapping[str, int]) -> bytes:
        whole = 0
        for each in self.fields:
            value = values[each.name]
            if not each.low <= value <= each.high:
                raise ValueError(f"{each.name} is {value}, outside {each.low}..{each.high}")
            whole = whole << each.bits | (value - each.low)
        return (whole << (self.octets * 8 - self.bits)).to_bytes(self.octets, "big")

    def read(self, octets_NB: NDArray[np.uint8]) -> tuple[Ints, NDArray[np.bool_]]:
        """One row of field values for each message, and whether it is well-formed: in range, padded with zeros."""
        first_F, shift_F, mask_F, low_F, width_F = self._plan
        padded = np.concatenate([octets_NB, np.zeros((len(octets_NB), SPAN), dtype=np.uint8)], axis=1)
        touched_NFS = padded.take(first_F[:, None] + np.arange(SPAN), axis=1)
        raw_NF = (touched_NFS.view(">u8")[:, :, 0] >> shift_F & mask_F).astype(np.int64)
        spare = self.octets * 8 - self.bits
        good = (raw_NF <= width_F).all(axis=1) & (octets_NB[:, -1] & ((1 << spare) - 1) == 0)
        return raw_NF + low_F, good

    @cached_property
    def _plan(self) -> tuple[Ints, NDArray[np.uint64], NDArray[np.uint64], Ints, Ints]:
        """Of each field: first octet, distance from the word's right end, mask, low, and high - low."""
        bits = np.array([each.bits for each in self.fields], dtype=np.int64)
        start = np.cumsum(bits) - bits
        low = np.array([each.low for each in self.fields], dtype=np.int64)
        width = np.array([each.high - each.low for each in self.fields], dtype=np.int64)
        shift, mask = 8 * SPAN - start % 8 - bits, (np.int64(1) << bits) - 1
        return start // 8, shift.astype(np.uint64), mask.astype(np.uint64), low, width
