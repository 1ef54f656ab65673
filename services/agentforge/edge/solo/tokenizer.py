"""tokenizer.json as agent.pyz holds it: merges by ids, and only the tokens that no merge makes.

lead           the ids that begin a conversation: none, or one
single_digits  every digit is a token's end
added          [id, text, late]: tokens that are found in the text before it is cut; late ones after the others
tokens         [id, text]: all others that no merge makes, in visible stand-ins for bytes
merges         left id, right id, and how far the new id is from the last merge's; in the order of their ranks
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentforge.edge.device.solo.bpe import alphabet
from agentforge.kit.errors import DataLoss, InvalidInput, NotFound

FILE = "tokenizer.json"
_OFF = {"dropout": 0, "continuing_subword_prefix": "", "end_of_word_suffix": "", "byte_fallback": False,
        "ignore_merges": False}  # fmt: skip  # what does not matter where it is null or this


def read_tokenizer(directory: Path) -> dict[str, Any]:
    """The facts; refused by name where this program does not know a part of them."""
    file = directory / FILE
    try:
        told = json.loads(file.read_bytes())
        if unknown := list(_unknown(told)):
            raise _refused(file, unknown)
        return _facts(told, file)
    except FileNotFoundError:
        message = f"{directory} holds no {FILE}"
        raise NotFound(message, reason="NO_TOKENIZER", field=str(file)) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{file} is no tokenizer: {type(error).__name__}: {error}"
        raise DataLoss(message, reason="BROKEN_FILE", field=str(file)) from error


def end_token(directory: Path, facts: dict[str, Any], config: dict[str, Any]) -> int:
    """The id that ends an answer: by the tokenizer's own settings, else by the model's."""
    file = directory / "tokenizer_config.json"
    told = json.loads(file.read_bytes()).get("eos_token") if file.is_file() else None
    text = told.get("content") if isinstance(told, dict) else told
    known: dict[Any, int] = {token: number for number, token, _ in facts["added"]}
    number = known.get(text, config.get("eos_token_id"))
    if not isinstance(number, int):
        message = f"{directory} names no single token that ends an answer"
        step = "Save the tokenizer beside the model with its eos_token."
        raise InvalidInput(message, reason="NO_SPECIAL_TOKEN", field="eos_token", next_step=step)
    return number


def _unknown(told: dict[str, Any]) -> Iterator[str]:
    model = told["model"]
    if model["type"] != "BPE":
        yield f"model {model['type']}"
    yield from (f"model.{name} {model[name]!r}" for name, off in _OFF.items() if model.get(name) not in (None, off))
    for part in ("normalizer", "truncation", "padding"):
        if told.get(part) is not None:
            yield f"{part} {told[part].get('type', '')}".strip()
    if (told.get("decoder") or {}).get("type") != "ByteLevel":
        yield f"decoder {(told.get('decoder') or {}).get('type')}"
    yield from _unknown_cuts(told)
    yield from _unknown_leads(told.get("post_processor"))
    for token in told["added_tokens"]:
        flags = [name for name in ("single_word", "lstrip", "rstrip") if token.get(name)]
        if flags:
            yield f"added token {token['content']!r} with {', '.join(flags)}"


def _unknown_cuts(told: dict[str, Any]) -> Iterator[str]:
    steps = _cuts(told)
    if not steps or steps[-1]["type"] != "ByteLevel" or len(steps) > 2:
        yield f"pre_tokenizer {' and '.join(step['type'] for step in steps) or None}"
        return
    if steps[-1].get("add_prefix_space") or not steps[-1].get("use_regex", True):
        yield "pre_tokenizer ByteLevel with add_prefix_space or without use_regex"
    if len(steps) == 2 and not (steps[0]["type"] == "Digits" and steps[0].get("individual_digits")):
        yield f"pre_tokenizer {steps[0]['type']} before ByteLevel"


def _cuts(told: dict[str, Any]) -> list[dict[str, Any]]:
    found = told.get("pre_tokenizer") or {}
    steps: list[dict[str, Any]] = found.get("pretokenizers", [found] if found else [])
    return steps


def _unknown_leads(post: dict[str, Any] | None) -> Iterator[str]:
    if post is None or post["type"] == "ByteLevel":
        return
    if post["type"] != "TemplateProcessing":
        yield f"post_processor {post['type']}"
    elif [next(iter(each)) for each in post["single"]] not in (["Sequence"], ["SpecialToken", "Sequence"]):
        yield "post_processor TemplateProcessing with more than one token before the text"


def _facts(told: dict[str, Any], file: Path) -> dict[str, Any]:
    vocabulary: dict[str, int] = told["model"]["vocab"]
    added = [[each["id"], each["content"], bool(each.get("normalized"))] for each in told["added_tokens"]]
    texts = {text for _, text, _ in added}
    merges, made = _merges(told["model"]["merges"], vocabulary)
    rest = {text: number for text, number in vocabulary.items() if text not in made and text not in texts}
    stand_ins = alphabet()
    strange = next((text for text in rest if not set(text) <= stand_ins.keys()), None)
    if strange is not None or not stand_ins.keys() <= rest.keys():
        what = "not every byte has a token" if strange is None else f"token {strange!r} is not made of bytes"
        raise _refused(file, [what])
    return {
        "lead": _lead(told.get("post_processor")), "single_digits": len(_cuts(told)) == 2, "added": sorted(added),
        "tokens": sorted([number, text] for text, number in rest.items()), "merges": merges,
    }  # fmt: skip


def _merges(told: list[Any], vocabulary: dict[str, int]) -> tuple[list[int], set[str]]:
    flat: list[int] = []
    made: set[str] = set()
    last = 0
    for each in told:
        left, right = each.split(" ") if isinstance(each, str) else each
        number = vocabulary[left + right]
        flat += [vocabulary[left], vocabulary[right], number - last]
        made.add(left + right)
        last = number
    return flat, made


def _lead(post: dict[str, Any] | None) -> list[int]:
    if post is None or post["type"] != "TemplateProcessing" or "SpecialToken" not in post["single"][0]:
        return []
    name = post["single"][0]["SpecialToken"]["id"]
    return list(post["special_tokens"][name]["ids"])


def _refused(file: Path, unknown: list[str]) -> InvalidInput:
    message = f"{file} is of a kind that agent.pyz cannot read: {'; '.join(unknown)}"
    step = "Give a byte-level BPE tokenizer as agentforge trains it, or export a package with its own tokenizers."
    return InvalidInput(message, reason="TOKENIZER_NOT_KNOWN", field="tokenizer.json", next_step=step)
