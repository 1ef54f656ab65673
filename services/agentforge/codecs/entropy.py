"""Symbols in as many bits as they tell: static range coding by asymmetric numeral systems (rANS, Duda 2013).

    k         one byte: so many neighbouring symbols are coded as one, by the product of their frequencies
    table     of each symbol from 0 on its frequency in 2**14, as one byte below 128, else two
    states    of each lane, 4 bytes: as the decoder begins
    words     of 2 bytes, as the decoder takes them

Lanes take turns in coding, and go on side by side as numpy arrays: lane j of L has numbers j, j + L, j + 2L, …
How many lanes there are follows from the count alone. Every lane must end where the coder began, and every word
must be used: so few damages pass even here. Of Python 3.8, with numpy alone.
"""

from __future__ import annotations

import numpy as np

from .payload import Broken

BITS = 14
TOTAL = 1 << BITS
MOST_LEVELS = 1 << 12
_LOW = 1 << 16  # states lie in [2**16, 2**32)
_TURNS = 1024  # of a lane at most: fewer are quicker to decode, and a lane costs about two bytes
_FEW = 8  # lanes; that many or fewer are coded singly
_MOST_JOINED = 256  # symbols that k of them make together


def encode(values: np.ndarray, levels: int) -> bytes:
    flat = values.reshape(-1)
    if not (flat.size and 1 <= levels <= MOST_LEVELS):
        raise ValueError("nothing, or too many levels, to be coded")
    count_S = np.bincount(flat, minlength=levels).astype(np.float64)
    table_S = _shared(count_S, float(flat.size))
    k, joined, frequency_J = min(
        (_joined(flat, table_S, k) for k in range(1, _most_k(levels) + 1)),
        key=lambda each: (_bits(*each[1:]) + 16 * _lanes(len(each[1])), each[0]),
    )
    states, words = _coded(joined, frequency_J)
    return bytes([k]) + _table_bytes(table_S) + states.astype("<u4").tobytes() + words.astype("<u2").tobytes()


def decode(data: bytes, count: int, levels: int) -> np.ndarray:
    """uint8 [count], uint16 above 256 levels."""
    if not 1 <= levels <= MOST_LEVELS or count < 1 or not data or not 1 <= data[0] <= _most_k(levels):
        raise Broken("the head of an entropy-coded stream makes no sense")
    k = data[0]
    table_S, at = _read_table(data, levels)
    turns_lanes = -(-count // k)
    lanes = _lanes(turns_lanes)
    if len(data) < at + 4 * lanes or (len(data) - at) % 2:
        raise Broken("an entropy-coded stream is cut")
    state_L = np.frombuffer(data, "<u4", lanes, at).astype(np.uint32)
    words = np.frombuffer(data, "<u2", offset=at + 4 * lanes).astype(np.uint32)
    frequency_J = _products(table_S, k)
    slots = _slots(state_L, words, frequency_J, turns_lanes)
    kind = np.uint8 if levels <= 256 else np.uint16
    digits_Jk = (np.arange(len(frequency_J))[:, None] // levels ** np.arange(k) % levels).astype(kind)
    symbols_Tk = np.repeat(digits_Jk, frequency_J, axis=0)
    found: np.ndarray = symbols_Tk[slots].reshape(-1)[:count]
    return found


def _slots(state_L: np.ndarray, words: np.ndarray, frequency_J: np.ndarray, count: int) -> np.ndarray:
    """uint16 [count]: where in the table each coded number lies."""
    first_J = np.cumsum(frequency_J) - frequency_J
    of_slot = np.repeat(frequency_J, frequency_J).astype(np.uint32)
    within = (np.arange(TOTAL) - np.repeat(first_J, frequency_J)).astype(np.uint32)
    if int(state_L.min()) < _LOW:
        raise Broken("a state of an entropy-coded stream is too small")
    take = _take_singly if len(state_L) <= _FEW else _take_together
    slots, end_L, taken = take(state_L, words, of_slot, within, count)
    if taken != len(words) or not bool((end_L == _LOW).all()):
        raise Broken("an entropy-coded stream does not end where it should")
    return slots


def _take_together(
    state_L: np.ndarray, words: np.ndarray, of_slot: np.ndarray, within: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Slots, states at the end, and how many words were taken."""
    slots, lanes, taken = np.empty(count, np.uint16), len(state_L), 0
    mask, shift, low, sixteen = np.uint32(TOTAL - 1), np.uint32(BITS), np.uint32(_LOW), np.uint32(16)
    for at in range(0, count, lanes):
        x = state_L[: min(lanes, count - at)]  # a view: the states go on in place
        slot = x & mask
        slots[at : at + len(x)] = slot
        x >>= shift
        x *= of_slot[slot]
        x += within[slot]
        wanting = (x < low).nonzero()[0]
        if wanting.size:
            if taken + wanting.size > len(words):
                raise Broken("an entropy-coded stream is cut")
            x[wanting] = x[wanting] << sixteen | words[taken : taken + wanting.size]
            taken += wanting.size
    return slots, state_L, taken


def _take_singly(
    state_L: np.ndarray, words: np.ndarray, of_slot: np.ndarray, within: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """The same in Python's numbers, which are quicker where an array would hold few."""
    states, left, frequency, above = state_L.tolist(), words.tolist(), of_slot.tolist(), within.tolist()
    slots, lanes, taken = [0] * count, len(states), 0
    for at in range(count):
        x = states[at % lanes]
        slots[at] = slot = x & (TOTAL - 1)
        x = frequency[slot] * (x >> BITS) + above[slot]
        if x < _LOW:
            if taken == len(left):
                raise Broken("an entropy-coded stream is cut")
            x = x << 16 | left[taken]
            taken += 1
        states[at % lanes] = x
    return np.array(slots, np.uint16), np.array(states, np.uint32), taken


def _coded(joined: np.ndarray, frequency_J: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Backwards, as a stack is filled. States [lanes], and words in the order of decoding."""
    lanes, first_J = _lanes(len(joined)), np.cumsum(frequency_J) - frequency_J
    if lanes <= _FEW:
        return _put_singly(joined, frequency_J, first_J, lanes)
    state_L, words = np.full(lanes, _LOW, np.uint64), []
    wide_J, first_J = frequency_J.astype(np.uint64), first_J.astype(np.uint64)
    room, shift, sixteen = np.uint64(32 - BITS), np.uint64(BITS), np.uint64(16)
    for at in reversed(range(0, len(joined), lanes)):
        symbol = joined[at : at + lanes]
        x, frequency = state_L[: len(symbol)], wide_J[symbol]
        full = (x >= frequency << room).nonzero()[0]
        words.append(x[full].astype(np.uint16))
        x[full] >>= sixteen
        x[:] = (x // frequency << shift) + x % frequency + first_J[symbol]
    return state_L, np.concatenate(words[::-1])


def _put_singly(
    joined: np.ndarray, frequency_J: np.ndarray, first_J: np.ndarray, lanes: int
) -> tuple[np.ndarray, np.ndarray]:
    symbols, frequencies, firsts = joined.tolist(), frequency_J.tolist(), first_J.tolist()
    states, words = [_LOW] * lanes, []
    for at in reversed(range(len(symbols))):
        x, frequency = states[at % lanes], frequencies[symbols[at]]
        if x >= frequency << (32 - BITS):
            words.append(x & 0xFFFF)
            x >>= 16
        states[at % lanes] = (x // frequency << BITS) + x % frequency + firsts[symbols[at]]
    return np.array(states, np.uint64), np.array(words[::-1], np.uint16)


def _joined(flat: np.ndarray, table_S: np.ndarray, k: int) -> tuple[int, np.ndarray, np.ndarray]:
    """k, each k symbols as one number (the last filled up by the most frequent), and frequencies of those."""
    levels = len(table_S)
    full = np.full(-(-flat.size // k) * k, int(table_S.argmax()), flat.dtype)
    full[: flat.size] = flat
    joined = np.zeros(len(full) // k, np.int64)
    for place in range(k):
        joined += full[place::k].astype(np.int64) * levels**place
    return k, joined, _products(table_S, k)


def _products(table_S: np.ndarray, k: int) -> np.ndarray:
    if k == 1:
        return table_S
    made = np.ones(1)
    for _ in range(k):  # products of doubles, in this order, are the same everywhere
        made = (table_S[:, None] * made).reshape(-1)
    return _shared(made, float(TOTAL) ** k)


def _shared(weight_S: np.ndarray, whole: float) -> np.ndarray:
    """int64 [S]: whole numbers that sum to TOTAL, near to the weights; none of a weight above 0 is 0."""
    share_S = weight_S / whole * TOTAL
    found_S = np.floor(share_S).astype(np.int64)
    found_S[(weight_S > 0) & (found_S == 0)] = 1
    missing = TOTAL - int(found_S.sum())
    if missing > 0:
        found_S[np.argsort(found_S - share_S, kind="stable")[:missing]] += 1
    while missing < 0:
        for place in np.argsort(-found_S, kind="stable"):
            each = int(found_S[place])
            less = min(-missing, -(-each // 8)) if each > 1 else 0  # spread over all that are large
            found_S[place] -= less
            missing += less
    return found_S


def _bits(joined: np.ndarray, frequency_J: np.ndarray) -> float:
    count_J = np.bincount(joined, minlength=len(frequency_J))
    used = count_J > 0
    return float((count_J[used] * (BITS - np.log2(frequency_J[used]))).sum())


def _lanes(count: int) -> int:
    return -(-count // _TURNS)


def _most_k(levels: int) -> int:
    k = 1
    while max(levels, 2) ** (k + 1) <= _MOST_JOINED:
        k += 1
    return k


def _table_bytes(table_S: np.ndarray) -> bytes:
    """The last is what is missing in the sum, so it is left out."""
    return b"".join(
        bytes([each]) if each < 128 else bytes([128 | each >> 8, each & 255]) for each in table_S[:-1].tolist()
    )


def _read_table(data: bytes, levels: int) -> tuple[np.ndarray, int]:
    found, at = [], 1
    for _ in range(levels - 1):
        if at + 2 > len(data):  # states follow in any case
            raise Broken("the table of an entropy-coded stream is cut")
        if data[at] < 128:
            found.append(data[at])
            at += 1
        else:
            found.append((data[at] & 127) << 8 | data[at + 1])
            at += 2
    found.append(TOTAL - sum(found))
    if found[-1] < 0:
        raise Broken("frequencies of an entropy-coded stream sum to too much")
    return np.array(found, np.int64), at
