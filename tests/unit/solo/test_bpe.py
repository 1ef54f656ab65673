"""Ids and texts are those of tokenizers, on any text."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentforge.data.tokenizer import SPECIAL_TOKENS, train_tokenizer
from agentforge.edge.device.solo.bpe import BytePairs
from agentforge.edge.solo import unicode_table
from agentforge.edge.solo.tokenizer import end_token, read_tokenizer
from agentforge.kit.errors import InvalidInput

TEXTS = ["Q: 12 + 34 = A: 46 we'll see it's  \n\n the the there naïve über 東京 привет мир 🎉🎉 I'm you'd"] * 3
PIECES = [
    *SPECIAL_TOKENS[:10],
    "<|tool",
    " ",
    "  ",
    "\n",
    "\t ",
    "\u00a0",
    "'s",
    "'LL",
    "'ll",
    "12",
    "½",
    "٣",
    "the",
    " the",
]
TEXT = st.lists(st.one_of(st.text(max_size=6), st.sampled_from(PIECES))).map("".join)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(TEXTS, 330).save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def pair(directory: Path) -> tuple[BytePairs, Any]:
    return BytePairs(read_tokenizer(directory)), train_tokenizer(TEXTS, 330).backend_tokenizer


@settings(max_examples=400, deadline=None)
@given(text=TEXT)
@example(text="\U00011de1 \U00016ff4x3\u2028 \x1c\x1f\x85")  # what Python's tables, or one of theirs, see otherwise
@example(text="<|eos|><|eos|>the<|/tool|> <|nothing|>")
def test_same_ids(pair: tuple[BytePairs, Any], text: str) -> None:
    ours, theirs = pair
    ids = theirs.encode(text, add_special_tokens=False).ids
    assert ours.encode(text) == ids
    assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=False)


@settings(max_examples=200, deadline=None)
@given(ids=st.lists(st.integers(0, 329), max_size=12))
def test_same_text_of_any_ids(pair: tuple[BytePairs, Any], ids: list[int]) -> None:
    assert pair[0].decode(ids) == pair[1].decode(ids, skip_special_tokens=False)


def test_a_long_word_takes_no_time_squared(pair: tuple[BytePairs, Any]) -> None:
    word = "the" * 20_000
    began = time.perf_counter()
    ids = pair[0].encode(word)
    assert time.perf_counter() - began < 5
    assert ids == pair[1].encode(word, add_special_tokens=False).ids


def test_a_token_that_begins_every_text(directory: Path, tmp_path: Path) -> None:
    told = json.loads((directory / "tokenizer.json").read_text())
    first = {"SpecialToken": {"id": "<|bos|>", "type_id": 0}}
    told["post_processor"]["single"].insert(0, first)
    told["post_processor"]["special_tokens"] = {"<|bos|>": {"id": "<|bos|>", "ids": [0], "tokens": ["<|bos|>"]}}
    (tmp_path / "tokenizer.json").write_text(json.dumps(told))
    ours = BytePairs(read_tokenizer(tmp_path))
    assert ours.encode("a")[0] == 0
    assert ours.encode("a", start=False) == ours.encode("a")[1:]


KINDS: list[tuple[dict[str, Any], str]] = [
    ({"normalizer": {"type": "NFC"}}, "normalizer NFC"),
    ({"decoder": {"type": "Metaspace"}}, "decoder Metaspace"),
    ({"pre_tokenizer": {"type": "Whitespace"}}, "pre_tokenizer Whitespace"),
    ({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True}}, "add_prefix_space"),
    ({"post_processor": {"type": "BertProcessing"}}, "post_processor BertProcessing"),
]


@pytest.mark.parametrize(("change", "words"), KINDS, ids=[words for _, words in KINDS])
def test_another_kind_is_refused_by_name(
    directory: Path, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    told = json.loads((directory / "tokenizer.json").read_text())
    (tmp_path / "tokenizer.json").write_text(json.dumps({**told, **change}))
    with pytest.raises(InvalidInput, match=words):
        read_tokenizer(tmp_path)


def test_parts_of_the_model_are_refused_by_name(directory: Path, tmp_path: Path) -> None:
    told = json.loads((directory / "tokenizer.json").read_text())
    told["model"]["byte_fallback"] = True
    told["added_tokens"][3]["lstrip"] = True
    (tmp_path / "tokenizer.json").write_text(json.dumps(told))
    with pytest.raises(InvalidInput, match=r"model.byte_fallback True; added token '<\|system\|>' with lstrip"):
        read_tokenizer(tmp_path)


def test_the_end_is_the_tokenizers(directory: Path, tmp_path: Path) -> None:
    facts = read_tokenizer(directory)
    assert end_token(directory, facts, {"eos_token_id": 7}) == 1
    assert end_token(tmp_path, facts, {"eos_token_id": 7}) == 7
    with pytest.raises(InvalidInput, match="ends an answer"):
        end_token(tmp_path, facts, {"eos_token_id": [1, 7]})


@pytest.mark.slow
def test_the_table_is_that_of_tokenizers() -> None:
    assert unicode_table.table() == unicode_table.FILE.read_text(encoding="utf-8")
