"""Canonical Huffman coding of token ids: for texts that are stored or sent, such as prompts and logs of a device.

It is not for weights: it makes no model smaller. Code lengths come from measured use; they alone are the table.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentforge.kit.errors import DataLoss, InvalidInput

_COUNT_BYTES = 4  # how many ids follow
_LONGEST = 63  # bits of a code


@dataclass(frozen=True)
class BitsPerToken:
    """Of one sequence. `entropy`: of its own counts, below which no code goes that looks at single tokens."""

    fixed: float
    huffman: float
    entropy: float


class Huffman:
    def __init__(self, lengths_V: NDArray[np.uint8]) -> None:
        """Codes of the same length count up in the order of ids; shorter ones come first."""
        _check_lengths(lengths_V)
        self.lengths = lengths_V
        self._order = np.lexsort((np.arange(len(lengths_V)), lengths_V))  # ids by code
        per_length = np.bincount(lengths_V, minlength=int(lengths_V.max()) + 1).tolist()
        self._first: list[tuple[int, int, int]] = []  # of each length: the first code, its place in order, how many
        code = place = 0
        codes_V = np.zeros(len(lengths_V), np.uint64)
        for count in per_length:
            codes_V[self._order[place : place + count]] = np.arange(code, code + count, dtype=np.uint64)
            self._first.append((code, place, count))
            code, place = (code + count) << 1, place + count
        self._codes = codes_V

    @classmethod
    def of(cls, counts_V: NDArray[np.int64]) -> Huffman:
        """Every id has a code, those that were never used the longest."""
        return cls(code_lengths(counts_V))

    @classmethod
    def from_table(cls, table: bytes, vocabulary: int) -> Huffman:
        bits = np.unpackbits(np.frombuffer(table[1:], np.uint8))
        width = table[0] if table else 0
        if not width or len(table) != 1 + -(-vocabulary * width // 8):
            raise _broken("the table does not have the length that it says")
        rows_VW = bits[: vocabulary * width].reshape(vocabulary, width)
        weights_W = 1 << np.arange(width - 1, -1, -1)
        return cls((rows_VW @ weights_W).astype(np.uint8))

    @property
    def table(self) -> bytes:
        """The width of a length, and all lengths in so many bits."""
        width = int(self.lengths.max()).bit_length()
        bits_VW = (self.lengths[:, None] >> np.arange(width - 1, -1, -1, dtype=np.uint8)) & 1
        return bytes([width]) + np.packbits(bits_VW).tobytes()

    def encode(self, ids: Sequence[int]) -> bytes:
        ids_N = np.asarray(ids, np.int64)
        if ids_N.size and not 0 <= int(ids_N.min()) <= int(ids_N.max()) < len(self.lengths):
            message = f"there is an id outside the vocabulary of {len(self.lengths):,}"
            raise InvalidInput(message, reason="UNKNOWN_TOKEN", field="ids")
        lengths_N = self.lengths[ids_N].astype(np.int64)
        start_N, codes_N = np.cumsum(lengths_N) - lengths_N, self._codes[ids_N]
        bits = np.zeros(int(lengths_N.sum()), np.uint8)
        for bit in range(int(self.lengths.max())):
            has = lengths_N > bit
            shift = (lengths_N[has] - 1 - bit).astype(np.uint64)
            bits[start_N[has] + bit] = (codes_N[has] >> shift) & np.uint64(1)
        return len(ids_N).to_bytes(_COUNT_BYTES, "little") + np.packbits(bits).tobytes()

    def decode(self, coded: bytes) -> list[int]:
        """Exactly what was encoded; what is cut or goes on is refused."""
        if len(coded) < _COUNT_BYTES:
            raise _broken("it is cut before the number of its ids")
        count = int.from_bytes(coded[:_COUNT_BYTES], "little")
        bits = np.unpackbits(np.frombuffer(coded[_COUNT_BYTES:], np.uint8)).tolist()
        ids: list[int] = []
        at = 0
        for _ in range(count):
            code = 0
            for first, place, number in self._first[1:]:
                if at == len(bits):
                    raise _broken(f"it is cut after {len(ids):,} of {count:,} ids")
                code, at = code << 1 | bits[at], at + 1
                if code - first < number:
                    ids.append(int(self._order[place + code - first]))
                    break
        if len(bits) - at >= 8 or any(bits[at:]):
            raise _broken("something follows its last id")
        return ids

    def bits_per_token(self, ids: Sequence[int]) -> BitsPerToken:
        """Without the table, whose bytes are counted apart."""
        counts_V = np.bincount(np.asarray(ids, np.int64), minlength=len(self.lengths))
        share = counts_V[counts_V > 0] / counts_V.sum()
        huffman = float((counts_V * self.lengths.astype(np.int64)).sum() / counts_V.sum())
        fixed = math.ceil(math.log2(len(self.lengths)))
        return BitsPerToken(fixed, huffman, float(-(share * np.log2(share)).sum()))


def code_lengths(counts_V: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Huffman's; the order of merges among equals is fixed, so that everyone finds the same."""
    if len(counts_V) < 2:
        raise InvalidInput("a code needs two tokens or more", reason="VOCABULARY_TOO_SMALL", field="counts")
    heap = [(int(count), number) for number, count in enumerate(counts_V)]
    heapq.heapify(heap)
    parent = [0] * (2 * len(heap) - 1)
    for number in range(len(heap), len(parent)):
        (one, left), (other, right) = heapq.heappop(heap), heapq.heappop(heap)
        parent[left] = parent[right] = number
        heapq.heappush(heap, (one + other, number))
    depth = [0] * len(parent)
    for number in range(len(parent) - 2, -1, -1):  # the root is the last
        depth[number] = depth[parent[number]] + 1
    return np.array(depth[: len(counts_V)], np.uint8)


def _check_lengths(lengths_V: NDArray[np.uint8]) -> None:
    """Kraft's equality: the codes are all that there are, and none begins another."""
    longest = int(lengths_V.max(initial=0))
    fits = 0 < longest <= _LONGEST and int(lengths_V.min()) > 0
    if not fits or sum(1 << longest - int(each) for each in lengths_V) != 1 << longest:
        raise _broken("its code lengths are those of no complete code")


def _broken(what: str) -> DataLoss:
    return DataLoss(f"the coded token ids cannot be read: {what}", reason="BROKEN_CODE", field="huffman")
