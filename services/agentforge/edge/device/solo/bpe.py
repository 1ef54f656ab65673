"""Byte-level BPE: text to ids and back, as the tokenizer does that the model was trained with.

What it reads is made of tokenizer.json by edge/solo/tokenizer.py, which refuses tokenizers of another kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush
from typing import Any

from .words import words

_REMEMBERED = 1 << 16  # words
_GONE = -1


def alphabet() -> dict[str, int]:
    """GPT-2's visible stand-ins for bytes, and the bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    visible = {chr(byte): byte for byte in plain}
    visible.update((chr(256 + place), byte) for place, byte in enumerate(others))
    return visible


class BytePairs:
    """`facts`: see edge/solo/tokenizer.py. It has the face of the runtime's Text."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.single_digits: bool = facts["single_digits"]
        self._lead: list[int] = facts["lead"]
        stand_ins = alphabet()
        self._bytes = {number: bytes(stand_ins[each] for each in token) for number, token in facts["tokens"]}
        self._merges: dict[tuple[int, int], tuple[int, int]] = {}
        self._read_merges(facts["merges"])
        self._of_byte = {raw[0]: number for number, raw in self._bytes.items() if len(raw) == 1}
        self._bytes.update((number, token.encode("utf-8")) for number, token, _ in facts["added"])
        self._added = {token: number for number, token, _ in facts["added"]}
        self._splits = [
            _any_of([token for _, token, is_late in facts["added"] if is_late == late]) for late in (False, True)
        ]
        self._known: dict[str, list[int]] = {}
        self.end = max(self._bytes) + 1  # ids are below

    def encode(self, text: str, start: bool = True) -> list[int]:
        """`start`: the text begins a conversation."""
        ids = list(self._lead) if start else []
        for part in self._parts(text, 0):
            if part in self._added:
                ids.append(self._added[part])
                continue
            for word in words(part, self.single_digits):
                ids += self._word(word)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        return b"".join(self._bytes.get(each, b"") for each in ids).decode("utf-8", "replace")

    def _parts(self, text: str, which: int) -> Iterator[str]:
        """Special tokens, and what is between them."""
        if which == len(self._splits):
            if text:
                yield text
            return
        split = self._splits[which]
        # What a pattern in parentheses found stands at every second place.
        for place, part in enumerate(split.split(text) if split else [text]):
            if place % 2:
                yield part
            else:
                yield from self._parts(part, which + 1)

    def _word(self, word: str) -> list[int]:
        if word not in self._known:
            if len(self._known) == _REMEMBERED:
                self._known.clear()
            self._known[word] = self._merged([self._of_byte[byte] for byte in word.encode("utf-8")])
        return self._known[word]

    def _merged(self, ids: list[int]) -> list[int]:
        """Of all pairs the one with the lowest rank becomes one token, of equals the first; and so on."""
        end = len(ids)
        before, after = list(range(-1, end - 1)), list(range(1, end + 1))
        ranks = ((self._rank(ids, place, place + 1), place) for place in range(end - 1))
        waiting = [each for each in ranks if each[0] >= 0]
        heapify(waiting)
        while waiting:
            rank, left = heappop(waiting)
            right = after[left]
            if ids[left] == _GONE or right == end or self._rank(ids, left, right) != rank:
                continue  # a pair that another merge has broken
            ids[left], ids[right] = self._merges[ids[left], ids[right]][1], _GONE
            after[left] = after[right]
            if after[right] < end:
                before[after[right]] = left
            for first, second in ((before[left], left), (left, after[left])):
                if first >= 0 and second < end and self._rank(ids, first, second) >= 0:
                    heappush(waiting, (self._rank(ids, first, second), first))
        return [each for each in ids if each != _GONE]

    def _rank(self, ids: list[int], left: int, right: int) -> int:
        found = self._merges.get((ids[left], ids[right]))
        return -1 if found is None else found[0]

    def _read_merges(self, flat: list[int]) -> None:
        """Left, right, and how far the new token's id is from the last one's."""
        number = 0
        for rank in range(len(flat) // 3):
            left, right, step = flat[3 * rank : 3 * rank + 3]
            number += step
            self._merges[left, right] = (rank, number)
            self._bytes[number] = self._bytes[left] + self._bytes[right]


def _any_of(tokens: list[str]) -> Any:
    """The first in the text; of those that begin together, the longest."""
    longest_first = sorted(tokens, key=lambda token: (-len(token), token))
    return re.compile(f"({'|'.join(map(re.escape, longest_first))})") if tokens else None
