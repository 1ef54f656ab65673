"""A tokenizer that has only the kept tokens, and how ids of the old one become ids of it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from agentforge.kit.errors import InvalidInput
from agentforge.phase8_compression.vocabulary.bytelevel import ByteLevel, merged, merges_of, opened

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class Rebuilt:
    """`kept`: the old id of each new one. `rewritten`: the new ids of each old one, one where it was kept."""

    tokenizer: PreTrainedTokenizerFast
    kept: tuple[int, ...]
    rewritten: Mapping[int, tuple[int, ...]]

    def new_ids(self, old_ids: Iterable[int]) -> list[int]:
        """The same bytes. A text that is encoded anew may become other ids: those the tokenizer's merges find."""
        return [new for old in old_ids for new in self.rewritten[old]]

    def old_ids(self, new_ids: Iterable[int]) -> list[int]:
        return [self.kept[new] for new in new_ids]


def rebuilt(tokenizer: PreTrainedTokenizerFast, kept: Iterable[int]) -> Rebuilt:
    """`kept`: old ids, in any order. Texts are encoded as BPE does with the merges whose tokens are all kept."""
    given = opened(tokenizer)
    order = given.ordered(kept)
    _check_closed(given, set(order))
    numbers = {given.tokens[old]: new for new, old in enumerate(order)}
    state = _state(given, numbers)
    small = copy.deepcopy(tokenizer)
    small._tokenizer = Tokenizer.from_str(json.dumps(state))
    small.init_kwargs.pop("added_tokens_decoder", None)  # by old ids
    return Rebuilt(small, order, _rewritten(given, numbers, merges_of(state)))


def _check_closed(given: ByteLevel, kept: set[int]) -> None:
    parts = given.parts()
    absent = next((number for number in given.always if number not in kept), None)
    if absent is not None:
        raise _refused(f"{given.tokens[absent]!r} (id {absent}) is a byte or a special token, and must be kept")
    for number in sorted(kept - set(given.always)):
        if number not in parts:
            raise _refused(f"id {number} is no token that a text can have")
        gone = [part for part in parts[number] if part not in kept]
        if gone:
            raise _refused(f"{given.tokens[number]!r} is kept, and its part {given.tokens[gone[0]]!r} is not")


def _state(given: ByteLevel, numbers: Mapping[str, int]) -> dict[str, Any]:
    state: dict[str, Any] = copy.deepcopy(dict(given.state))
    state["truncation"] = state["padding"] = None  # of some earlier call, with an old id
    state["model"]["vocab"] = dict(sorted(numbers.items(), key=lambda each: each[1]))
    state["model"]["merges"] = [
        [left, right] for left, right in given.ranks if {left, right, left + right} <= numbers.keys()
    ]
    for each in state["added_tokens"]:
        each["id"] = numbers[each["content"]]
    state["added_tokens"].sort(key=lambda each: each["id"])
    for each in (state["post_processor"] or {}).get("special_tokens", {}).values():
        each["ids"] = [numbers[token] for token in each["tokens"]]
    return state


def _rewritten(
    given: ByteLevel, numbers: Mapping[str, int], merges: Sequence[tuple[str, str]]
) -> dict[int, tuple[int, ...]]:
    """Of a dropped token: what the kept merges make of its bytes."""
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    found = {}
    for old, token in enumerate(given.tokens):
        if token:
            pieces = [token] if token in numbers else merged(token, ranks)[0]
            found[old] = tuple(numbers[piece] for piece in pieces)
    return found


def _refused(message: str) -> InvalidInput:
    step = "Let `choose` say which tokens are kept."
    return InvalidInput(message, reason="VOCABULARY_NOT_CLOSED", field="vocabulary", next_step=step)
