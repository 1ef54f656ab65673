from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.splits import Split
from agentforge.data.tasks import FAMILIES
from agentforge.data.tokenizer import (
    SPECIAL_TOKENS,
    check_fits,
    check_tokenizer,
    load_tokenizer,
    tokenizer_digest,
    train_tokenizer,
)
from agentforge.kit.errors import FailedPrecondition, InvalidInput
from tests.unit.data.helpers import story, task_texts, tiny_codec

some_text = st.one_of(st.text(), st.sampled_from(SPECIAL_TOKENS), st.text("0123456789 \n\t,.'é🙂<|>"))


@given(some_text)
def test_text_round_trips(text: str) -> None:
    codec = tiny_codec()
    assert codec.text(codec.ids(text)) == text
    assert codec.text(codec.document_ids(text)) == text
    assert codec.tokenizer.decode(codec.tokenizer.encode(text)) == text


@given(st.binary())
def test_bytes_round_trip(raw: bytes) -> None:
    codec = tiny_codec()
    ids = codec.encode_bytes(raw)
    assert codec.decode_bytes(ids) == raw
    assert codec.token_bytes()[ids].sum() == len(raw)


def test_digits_stand_alone_and_specials_lead() -> None:
    codec = tiny_codec()
    assert len(codec.ids("1234567890" * 3)) == 30
    assert [codec.ids(token) for token in SPECIAL_TOKENS] == [[place] for place in range(len(SPECIAL_TOKENS))]
    assert len(SPECIAL_TOKENS) >= 16


def test_documents_cannot_speak_special_tokens() -> None:
    codec = tiny_codec()
    ids = codec.document_ids("quote <|tool|> and <|eos|>")
    assert min(ids) >= len(SPECIAL_TOKENS)
    assert codec.ids("<|tool|>") == [SPECIAL_TOKENS.index("<|tool|>")]


@pytest.mark.parametrize("name", FAMILIES)
def test_prompt_and_completion_encode_apart_as_together(name: str) -> None:
    codec = tiny_codec()
    for number in range(20):
        item = ItemStream(name, Split.TRAIN, 3).item(number)
        ids, learned = codec.item_ids(item)
        assert ids == [*codec.ids(item.text), codec.eos]
        assert codec.ids(item.prefix) + codec.ids(item.prompt) == codec.ids(item.prefix + item.prompt)
        spoken = [token for token, is_learned in zip(ids, learned, strict=True) if is_learned]
        said = "".join(text for text, is_learned in item.segments() if is_learned)
        assert codec.text(spoken) == said + "<|eos|>"


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    codec = tiny_codec()
    codec.tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert tokenizer_digest(loaded) == codec.digest
    assert loaded("Q: 25 + 17 = A:").input_ids == codec.ids("Q: 25 + 17 = A:")
    assert (loaded.eos_token, loaded.pad_token, loaded.bos_token) == ("<|eos|>", "<|pad|>", "<|bos|>")
    check_tokenizer(loaded, codec.digest)


def test_mismatch_is_refused() -> None:
    codec = tiny_codec()
    other = train_tokenizer(map(story, range(40)), 300)
    with pytest.raises(FailedPrecondition, match="is not the one of the model") as caught:
        check_tokenizer(other, codec.digest)
    assert caught.value.reason == "TOKENIZER_MISMATCH"
    with pytest.raises(FailedPrecondition, match="512 tokens, the model's embedding 500"):
        check_fits(codec.tokenizer, 500)


def test_a_vocabulary_that_cannot_be_filled_says_how_far_it_goes() -> None:
    with pytest.raises(InvalidInput, match=r"fills a vocabulary of (\d+), not 32,000") as caught:
        train_tokenizer([story(1)], 32_000)
    reachable = int(caught.value.next_step.split()[3])
    assert len(train_tokenizer([story(1)], reachable)) == reachable


@pytest.mark.parametrize(
    ("texts", "vocabulary", "reason"),
    [
        ([], 512, "EMPTY_CORPUS"),
        (["", ""], 512, "EMPTY_CORPUS"),
        (["x"], 512, "VOCABULARY_TOO_LARGE"),
        (["some text"], 200, "VOCABULARY_TOO_SMALL"),
    ],
)
def test_bad_corpora(texts: list[str], vocabulary: int, reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        train_tokenizer(texts, vocabulary)
    assert caught.value.reason == reason


def test_no_tokenizer_in_the_directory(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"holds no tokenizer\.json"):
        load_tokenizer(tmp_path)


def test_training_is_deterministic() -> None:
    assert Codec(train_tokenizer(task_texts(), 512)).digest == tiny_codec().digest
