"""A smaller tokenizer: exact on everything, and what its merges say."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from agentforge.data.items import Item
from agentforge.data.tokenizer import SPECIAL_TOKENS, load_tokenizer, tokenizer_digest
from agentforge.kit.errors import InvalidInput
from agentforge.models.thoughts.tokens import find_marks
from agentforge.phase8_compression.vocabulary.bytelevel import opened
from agentforge.phase8_compression.vocabulary.rebuild import rebuilt
from tests.unit.compression_vocabulary import toys

some_text = st.one_of(
    st.text(), st.sampled_from(SPECIAL_TOKENS), st.text("0123456789 \n\t,.'é🙂<|>"),
    st.lists(st.sampled_from([" the", "return", "ing", "  ", "object", "12", "é", " <|tool|>"])).map("".join),
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(some_text)
def test_text_round_trips(text: str) -> None:
    codec = toys.small_codec()
    assert codec.text(codec.ids(text)) == text
    assert codec.text(codec.document_ids(text)) == text
    assert codec.tokenizer.decode(codec.tokenizer.encode(text)) == text


@settings(deadline=None, max_examples=60)
@given(st.one_of(st.binary(), some_text.map(str.encode)))
def test_bytes_round_trip_and_old_ids_stand_for_the_same(raw: bytes) -> None:
    codec, old = toys.small_codec(), toys.codec()
    ids = codec.encode_bytes(raw)
    assert codec.decode_bytes(ids) == raw
    assert codec.token_bytes()[ids].sum() == len(raw)
    assert old.decode_bytes(toys.small().old_ids(ids)) == raw
    assert codec.decode_bytes(toys.small().new_ids(old.encode_bytes(raw))) == raw


@settings(deadline=None, max_examples=60)
@given(some_text)
def test_texts_become_what_bpe_with_the_kept_merges_makes_of_them(text: str) -> None:
    """By the slowest way: all merges in turn, each over the whole word."""
    codec, old, kept = toys.small_codec(), opened(toys.tokenizer()), set(toys.small().kept)
    tokens = [token if number in kept else None for number, token in enumerate(old.tokens)]
    merges = [pair for pair in old.ranks if {*pair, "".join(pair)} <= set(tokens)]
    digits, level = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    expected: list[str] = []
    for word, _ in pre_tokenizers.Sequence([digits, level]).pre_tokenize_str(text):
        pieces = list(word)
        for left, right in merges:
            at = 0
            while at < len(pieces) - 1:
                if (pieces[at], pieces[at + 1]) == (left, right):
                    pieces[at : at + 2] = [left + right]
                at += 1
        expected += pieces
    assert codec.tokenizer.convert_ids_to_tokens(codec.document_ids(text)) == expected


def test_specials_keep_ids_and_meaning() -> None:
    codec, small = toys.small_codec(), toys.small().tokenizer
    assert [codec.ids(token) for token in SPECIAL_TOKENS] == [[place] for place in range(len(SPECIAL_TOKENS))]
    assert (small.bos_token_id, small.eos_token_id, small.pad_token_id) == (0, 1, 2)
    assert set(small.all_special_ids) == set(range(len(SPECIAL_TOKENS)))
    marks = find_marks(small)
    assert (small.decode([marks.start]), small.decode([marks.end])) == ("<|startofthought|>", "<|endofthought|>")
    said = Item("tools", "Q: A:", "4", 1, scratchpad="<|tool|>add 2 2<|/tool|><|result|>4<|/result|>")
    ids, learned = codec.item_ids(said)
    tool = SPECIAL_TOKENS.index("<|tool|>")
    assert ids.count(tool) == 1
    assert learned[ids.index(tool)]
    assert min(codec.document_ids("quote <|tool|>")) >= len(SPECIAL_TOKENS)


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    small, before = toys.small().tokenizer, tokenizer_digest(toys.tokenizer())
    small.save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert type(loaded) is type(small) is type(toys.tokenizer())
    assert len(loaded) == toys.SMALL
    assert tokenizer_digest(loaded) == tokenizer_digest(small) != before
    assert tokenizer_digest(toys.tokenizer()) == before, "the tokenizer that was given has changed"
    again = rebuilt(load_tokenizer(tmp_path), range(toys.SMALL))
    assert tokenizer_digest(again.tokenizer) == tokenizer_digest(small)


def test_a_tokenizer_that_pads_does_so_by_its_new_id() -> None:
    given = rebuilt(toys.tokenizer(), range(toys.LARGE)).tokenizer
    given(["a", "a longer one"], padding=True)
    small = rebuilt(given, toys.choice().kept).tokenizer
    assert len(small.backend_tokenizer.encode("a").ids) == 1
    assert small(["1", "123"], padding=True).input_ids[0][1:] == [small.pad_token_id] * 2


def test_what_is_not_closed_is_refused() -> None:
    kept, tokens = set(toys.choice().kept), opened(toys.tokenizer()).tokens
    parts = opened(toys.tokenizer()).parts()
    whole = next(number for number in sorted(kept & parts.keys()) if parts[number][0] in parts)
    with pytest.raises(InvalidInput) as caught:
        rebuilt(toys.tokenizer(), kept - {parts[whole][0]})
    assert repr(tokens[parts[whole][0]]) in caught.value.message
    with pytest.raises(InvalidInput, match="must be kept"):
        rebuilt(toys.tokenizer(), kept - {opened(toys.tokenizer()).bytes[7]})
