"""What thoughts need of a model: two tokens, and positions. Arithmetic alone, without torch: a service asks it."""

from __future__ import annotations

from collections.abc import Sequence

from agentforge.kit.errors import InvalidInput

LARGEST_VOCABULARY = 2**16  # token files of 16 bits hold no more


def check_room(tokens: int, length: int, window: int | None) -> None:
    """A row must be longer than one thought, and a thought must leave the window some of its text."""
    if tokens < length + 2:
        message = f"rows of {tokens} tokens are shorter than one thought of {length} with its two marks"
        step = f"Take rows of {length + 2} or more, or shorter thoughts."
        raise InvalidInput(message, reason="SEQUENCE_TOO_SHORT", field="length", next_step=step)
    if window is not None and length + 2 >= window:
        message = f"after {length} tokens of thought the window of {window} shows nothing of the text"
        step = f"Take thoughts of at most {window - 3}."
        raise InvalidInput(message, reason="THOUGHT_TOO_LONG", field="length", next_step=step)


def check_vocabulary(size: int, new: Sequence[str], limit: int) -> None:
    """`limit`: the most tokens; a vocabulary that is above it already has no limit."""
    if size <= limit < size + len(new):
        message = f"the tokenizer has {size:,} tokens of {limit:,}: no room for {' and '.join(new)}"
        step = "Trim the vocabulary, or take a tokenizer that has them."
        raise InvalidInput(message, reason="VOCABULARY_FULL", field="tokenizer", next_step=step)


def check_meaning(mark: str, number: int, *, special: bool, named: bool) -> None:
    """Refuse a mark that is an ordinary token, or `named` for the beginning, the end, padding or the unknown."""
    if special and not named:
        return
    what = "the beginning, end, padding or unknown token" if special else "an ordinary piece of text"
    message = f"in this tokenizer {mark} is {what} (id {number})"
    step = "Take a tokenizer in which it marks thoughts or does not occur."
    raise InvalidInput(message, reason="THOUGHT_TOKEN_TAKEN", field="tokenizer", next_step=step)
