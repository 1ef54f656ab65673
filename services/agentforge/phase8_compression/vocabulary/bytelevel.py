"""A byte-level BPE tokenizer, opened: its tokens, its merges, and what must hold for some of them to be enough."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tokenizers import pre_tokenizers

from agentforge.data.tokenizer import SPECIAL_TOKENS
from agentforge.kit.errors import InvalidInput

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Pair = tuple[str, str]
_ALTERS_BPE = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges")
_WITHOUT_IDS = (None, "ByteLevel", "TemplateProcessing")  # post-processors whose ids we know to be none or where


@dataclass(frozen=True)
class ByteLevel:
    """`tokens`: by id, "" where an id has none. `added`: special ones. `ranks`: of merges, the first is 0."""

    state: Mapping[str, Any]
    tokens: tuple[str, ...]
    added: tuple[int, ...]
    bytes: tuple[int, ...]
    ranks: Mapping[Pair, int]

    @property
    def always(self) -> tuple[int, ...]:
        """Added tokens, which are no pieces of text, and bytes, of which all texts are made."""
        return (*self.added, *self.bytes)

    def ordered(self, kept: Iterable[int]) -> tuple[int, ...]:
        """Added ones first, as SPECIAL_TOKENS has them; then all others as they were."""
        added = set(self.added)
        return (*self.added, *sorted(set(kept) - added))

    def parts(self) -> dict[int, tuple[int, int]]:
        """Of each token that texts can have: the two it is merged from. Bytes have none."""
        numbers = {token: number for number, token in enumerate(self.tokens)}
        leaves = {*self.always, *(number for number, token in enumerate(self.tokens) if not token)}
        found = {}
        for number, token in enumerate(self.tokens):
            whole = number not in leaves
            pieces, last = merged(token, self.ranks) if whole else ([], None)
            if last is not None and pieces == [token]:
                found[number] = (numbers[last[0]], numbers[last[1]])
        return found


def merged(characters: Sequence[str], ranks: Mapping[Pair, int]) -> tuple[list[str], Pair | None]:
    """BPE of one word: of all pairs that a merge is for, the first merge's leftmost, again and again.

    Returns the pieces that are left, and the last pair that was merged.
    """
    pieces, last = list(characters), None
    while True:
        found = [(ranks[pair], at) for at, pair in enumerate(pairwise(pieces)) if pair in ranks]
        if not found:
            return pieces, last
        _, at = min(found)
        last = (pieces[at], pieces[at + 1])
        pieces[at : at + 2] = ["".join(last)]


def opened(tokenizer: PreTrainedTokenizerFast) -> ByteLevel:
    backend = tokenizer.backend_tokenizer
    state = json.loads(backend.to_str())
    _check_kind(state)
    known = backend.get_vocab(with_added_tokens=True)
    tokens = [""] * (max(known.values()) + 1)
    for token, number in known.items():
        tokens[number] = token
    absent = sorted(set(pre_tokenizers.ByteLevel.alphabet()) - known.keys())
    if absent:
        raise _refused(f"it has no token for {len(absent)} of the 256 bytes, {absent[0]!r} among them")
    named = {token: place for place, token in enumerate(SPECIAL_TOKENS)}
    added = [(named.get(each["content"], len(named)), each["id"]) for each in state["added_tokens"]]
    ranks = {pair: rank for rank, pair in enumerate(merges_of(state))}
    bytes_ = sorted(known[each] for each in pre_tokenizers.ByteLevel.alphabet())
    return ByteLevel(state, tuple(tokens), tuple(number for _, number in sorted(added)), tuple(bytes_), ranks)


def merges_of(state: Mapping[str, Any]) -> list[Pair]:
    """Older files have each merge as one text."""
    pairs = (each.split(" ") if isinstance(each, str) else each for each in state["model"]["merges"])
    return [(left, right) for left, right in pairs]


def _check_kind(state: Mapping[str, Any]) -> None:
    model = state["model"]
    if model["type"] != "BPE":
        raise _refused(f"its model is {model['type']} and not BPE: it has no merges")
    altered = next((name for name in _ALTERS_BPE if model.get(name)), None)
    if altered is not None:
        raise _refused(f"its BPE has {altered}: merges alone do not say what a text becomes")
    if state["normalizer"] is not None:
        raise _refused("it has a normalizer, after which a text does not come back exactly")
    splitter = [each for each in _leaves(state["pre_tokenizer"]) if each["type"] == "ByteLevel"]
    if not splitter:
        raise _refused("it has no ByteLevel pre-tokenizer: its tokens are not made of bytes")
    if splitter[0].get("add_prefix_space"):
        raise _refused("its ByteLevel pre-tokenizer puts a space before texts, which do not come back exactly")
    after = (state["post_processor"] or {}).get("type")
    if after not in _WITHOUT_IDS:
        raise _refused(f"its post-processor {after} has ids that nothing here renumbers")


def _leaves(part: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    if part is None:
        return []
    inner = part.get("pretokenizers")
    return [part] if inner is None else [leaf for each in inner for leaf in _leaves(each)]


def _refused(missing: str) -> InvalidInput:
    message = f"the vocabulary of this tokenizer cannot be trimmed: {missing}"
    step = "Leave its vocabulary as it is, or give a model with a byte-level BPE tokenizer."
    return InvalidInput(message, reason="NOT_BYTE_LEVEL_BPE", field="tokenizer", next_step=step)
