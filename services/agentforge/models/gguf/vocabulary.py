"""A fast byte-level BPE tokenizer in llama.cpp's terms. Free of torch.

llama.cpp splits text by rules that are compiled into it and are called by name (`tokenizer.ggml.pre`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from agentforge.kit.errors import FailedPrecondition

_LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_DIGITS = {"type": "Digits", "individual_digits": True}
_SPLIT = {"type": "Split", "pattern": {"Regex": _LLAMA_3}, "behavior": "Isolated", "invert": False}


def _bytes(*, use_regex: bool) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "use_regex": use_regex}


# How text is split, and whether a piece that is a token is taken whole: by llama.cpp's name for both.
_KNOWN: dict[str, tuple[list[dict[str, Any]], bool]] = {
    "smollm": ([_DIGITS, _bytes(use_regex=True)], False),  # ours: gpt-2 would leave a space with a digit
    "gpt-2": ([_bytes(use_regex=True)], False),
    "llama-bpe": ([_SPLIT, _bytes(use_regex=False)], True),
}
_PLAIN_BPE = {
    "type": "BPE", "dropout": None, "unk_token": None, "byte_fallback": False, "continuing_subword_prefix": None,
    "end_of_word_suffix": None,
}  # fmt: skip


@dataclass(frozen=True)
class Vocabulary:
    pre: str
    tokens: list[str | None]  # by id; None: no token has it
    merges: list[str]
    special: frozenset[int]  # the text of these is read as them, and never shown
    added: frozenset[int]  # of these read only


def vocabulary(backend: Tokenizer) -> Vocabulary:
    state = json.loads(backend.to_str())
    added = state["added_tokens"]
    size = 1 + max([*backend.get_vocab(with_added_tokens=True).values()])
    return Vocabulary(
        pre=_pre(state),
        tokens=[backend.id_to_token(number) for number in range(size)],
        merges=[each if isinstance(each, str) else " ".join(each) for each in state["model"]["merges"]],
        special=frozenset(token["id"] for token in added if token["special"]),
        added=frozenset(token["id"] for token in added if not token["special"]),
    )


def check_tokenizer(backend: Tokenizer) -> None:
    _pre(json.loads(backend.to_str()))


def _pre(state: dict[str, Any]) -> str:
    """`ids` would differ under a wrong name, mostly in rare texts: so the rules must be equal, not alike."""
    model = state["model"]
    differs = [name for name, value in _PLAIN_BPE.items() if (model.get(name) or None) != (value or None)]
    stripping = [t["content"] for t in state["added_tokens"] if t["lstrip"] or t["rstrip"] or t["single_word"]]
    if differs or state["normalizer"] is not None or stripping:
        what = ", ".join([*differs, *(["normalizer"] if state["normalizer"] is not None else []), *stripping])
        raise _unknown(f"the tokenizer is no plain byte-level BPE: it has its own {what}")
    if not model["merges"]:
        raise _unknown("the tokenizer has no merges, and llama.cpp reads none without")
    given = state["pre_tokenizer"] or {"type": "Sequence", "pretokenizers": []}
    steps = given["pretokenizers"] if given["type"] == "Sequence" else [given]
    plain = [{name: value for name, value in step.items() if name != "trim_offsets"} for step in steps]
    for pre, (rules, whole) in _KNOWN.items():
        if plain == rules and bool(model.get("ignore_merges")) == whole:
            return pre
    raise _unknown(f"no rule of llama.cpp that is known here splits text as this tokenizer does: {plain}")


def _unknown(message: str) -> FailedPrecondition:
    step = f"Known are the ways of {', '.join(_KNOWN)}; the first is that of our own tokenizers."
    return FailedPrecondition(message, reason="UNKNOWN_TOKENIZER", field="tokenizer", next_step=step)
