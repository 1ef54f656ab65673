"""A random order of any length in constant memory: a Feistel network over the places, walked until inside."""

from __future__ import annotations

_ROUNDS = 6
_MASK = 2**64 - 1


def permuted(place: int, count: int, key: int) -> int:
    """The place that `place` of 0..count-1 moves to; for one key, every place is hit once."""
    half_bits = max(1, ((count - 1).bit_length() + 1) // 2)
    while True:
        place = _feistel(place, half_bits, key)
        if place < count:
            return place


def _feistel(value: int, half_bits: int, key: int) -> int:
    mask = (1 << half_bits) - 1
    left, right = value >> half_bits, value & mask
    for round_number in range(_ROUNDS):
        left, right = right, left ^ (_mixed(right + (round_number << 32) ^ key) & mask)
    return left << half_bits | right


def _mixed(value: int) -> int:
    """splitmix64's finaliser: every bit of the input moves every bit of the output."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & _MASK
    return value ^ value >> 31
