"""Ways of splitting text are known by name, and only where they are equal."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from agentforge.kit.errors import FailedPrecondition
from agentforge.models.gguf import vocabulary as subject
from agentforge.models.gguf.vocabulary import check_tokenizer, vocabulary
from tests import pico
from tests.unit.ggufs import small


def ours() -> Tokenizer:
    return Tokenizer.from_str(small.tokenizer().backend_tokenizer.to_str())


def split_as_llama_3() -> Any:
    pattern = pre_tokenizers.Split(Regex(subject._LLAMA_3), "isolated")
    return pre_tokenizers.Sequence([pattern, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def test_ours() -> None:
    found = vocabulary(ours())
    assert found.pre == "smollm"
    assert len(found.tokens) == small.VOCABULARY
    assert found.tokens[0] == "<|bos|>"
    assert found.special == frozenset(range(24))
    assert not found.added
    assert all(len(merge.split(" ")) == 2 for merge in found.merges)
    assert len(found.merges) == small.VOCABULARY - 280


def test_other_known_ways() -> None:
    backend = ours()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert vocabulary(backend).pre == "gpt-2"
    backend.pre_tokenizer = split_as_llama_3()
    with pytest.raises(FailedPrecondition, match="no rule"):
        check_tokenizer(backend)  # its merges are not ignored
    backend.model = models.BPE(
        backend.model.get_vocab() if False else {"a": 0, "b": 1, "ab": 2}, [("a", "b")], ignore_merges=True
    )
    assert vocabulary(backend).pre == "llama-bpe"


def with_prefix_space(backend: Tokenizer) -> None:
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)


def with_normalizer(backend: Tokenizer) -> None:
    backend.normalizer = normalizers.NFC()


def with_digit_groups(backend: Tokenizer) -> None:
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(), pre_tokenizers.ByteLevel(False)])


def with_stripping(backend: Tokenizer) -> None:
    from tokenizers import AddedToken

    backend.add_tokens([AddedToken("<x>", lstrip=True)])


def with_fallback(backend: Tokenizer) -> None:
    backend.model = models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")], byte_fallback=True)


def as_words(backend: Tokenizer) -> None:
    backend.model = models.WordLevel({"a": 0}, "a")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (with_prefix_space, "no rule"), (with_digit_groups, "no rule"), (with_normalizer, "normalizer"),
        (with_stripping, "<x>"), (with_fallback, "byte_fallback"), (as_words, "type"),
    ],
)  # fmt: skip
def test_all_else_is_refused(change: Any, named: str) -> None:
    backend = ours()
    change(backend)
    with pytest.raises(FailedPrecondition) as caught:
        check_tokenizer(backend)
    assert (caught.value.reason, caught.value.field) == ("UNKNOWN_TOKENIZER", "tokenizer")
    assert named in caught.value.message


def test_without_merges() -> None:
    with pytest.raises(FailedPrecondition, match="no merges"):
        check_tokenizer(pico.tokenizer().backend_tokenizer)
