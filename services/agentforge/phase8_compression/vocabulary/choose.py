"""Which tokens are kept: for a wished size those without which texts would become longest.

Rewritten by its merges, a text needs one token more for each merge that is gone and would have been used. How often
a merge is used, within longer tokens too, does not depend on which others are gone; and its parts are used at least
as often. So the most used merges are the best choice of their number, and closed: no kept one lacks a part. Final
tokens by themselves ("plain frequency") leave out what is used within longer ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agentforge.kit.errors import InvalidInput
from agentforge.phase8_compression.vocabulary.bytelevel import opened
from agentforge.phase8_compression.vocabulary.usage import Counts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class Choice:
    """`kept`: old ids, at the place that is their new one. `tokens`: that were counted; `rewritten`: how many they
    are when those that are gone are taken apart.
    """

    kept: tuple[int, ...]
    tokens: int
    rewritten: int


def choose(tokenizer: PreTrainedTokenizerFast, counts_V: Counts, size: int) -> Choice:
    """`counts_V`: what `usage` found with this tokenizer."""
    given = opened(tokenizer)
    if len(counts_V) != len(given.tokens):
        message = f"there are counts of {len(counts_V):,} tokens, and the tokenizer has {len(given.tokens):,}"
        raise InvalidInput(message, reason="TOKENIZER_MISMATCH", field="counts")
    parts = given.parts()
    check_size(size, len(given.always), len(given.always) + len(parts))
    used_V = merges_used(given.tokens, parts, counts_V)
    best = sorted(parts, key=lambda number: (-used_V[number], len(given.tokens[number]), number))
    room = size - len(given.always)
    lost = sum(int(used_V[number]) for number in best[room:])
    tokens = int(counts_V.sum())
    return Choice(given.ordered((*given.always, *best[:room])), tokens, tokens + lost)


def merges_used(tokens: tuple[str, ...], parts: Mapping[int, tuple[int, int]], counts_V: Counts) -> Counts:
    """[V]: how often each token is used, by itself or within a longer one."""
    used_V = np.array(counts_V, np.int64)
    for number in sorted(parts, key=lambda each: -len(tokens[each])):  # wholes before their parts
        for part in parts[number]:
            used_V[part] += used_V[number]
    return used_V


def smallest_size(tokenizer: PreTrainedTokenizerFast) -> int:
    """All special tokens, and all bytes."""
    return len(opened(tokenizer).always)


def check_size(size: int, smallest: int, largest: int) -> None:
    if size < smallest:
        message = f"a vocabulary of {size:,} cannot hold 256 bytes and {smallest - 256:,} special tokens"
        step = f"Take at least {smallest:,}."
        raise InvalidInput(message, reason="VOCABULARY_TOO_SMALL", field="vocabulary", next_step=step)
    if size > largest:
        message = f"a vocabulary of {size:,} was asked for, and the tokenizer has {largest:,} that texts can use"
        step = f"Take at most {largest:,}."
        raise InvalidInput(message, reason="VOCABULARY_TOO_LARGE", field="vocabulary", next_step=step)
