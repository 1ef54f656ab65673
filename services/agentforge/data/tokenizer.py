"""Byte-level BPE trained on the corpus: exact on any text and bytes, digits one by one, deterministic."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from agentforge.data.toolcalls import RESULT_CLOSE, RESULT_OPEN, TOOL_CLOSE, TOOL_OPEN
from agentforge.kit.digests import digest_json
from agentforge.kit.errors import DataLoss, FailedPrecondition, InvalidInput

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

BOS, EOS, PAD = "<|bos|>", "<|eos|>", "<|pad|>"
THOUGHT_OPEN, THOUGHT_CLOSE = "<|startofthought|>", "<|endofthought|>"
PERSONA_OPEN, PERSONA_CLOSE = "<|persona|>", "<|/persona|>"

# Their order is their ids, in every vocabulary. New ones take the place of a reserved one, never a new place.
SPECIAL_TOKENS: tuple[str, ...] = (
    BOS, EOS, PAD, "<|system|>", "<|user|>", "<|assistant|>", PERSONA_OPEN, PERSONA_CLOSE,
    TOOL_OPEN, TOOL_CLOSE, RESULT_OPEN, RESULT_CLOSE, THOUGHT_OPEN, THOUGHT_CLOSE,
    *(f"<|reserved{number}|>" for number in range(10)),
)  # fmt: skip

VOCABULARIES = {"tiny": 512, "small": 4_096, "full": 32_000}
SMALLEST_VOCABULARY = 256 + len(SPECIAL_TOKENS)  # every byte must have a token


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Exactly `vocabulary` tokens, special ones included, or an error that says how many the texts can fill."""
    if vocabulary < SMALLEST_VOCABULARY:
        message = f"a vocabulary of {vocabulary:,} cannot hold 256 bytes and {len(SPECIAL_TOKENS)} special tokens"
        step = f"Take at least {SMALLEST_VOCABULARY}."
        raise InvalidInput(message, reason="VOCABULARY_TOO_SMALL", field="vocabulary", next_step=step)
    counted = _Counted(texts)
    backend = _trained(counted, vocabulary)
    if counted.characters == 0:
        raise InvalidInput("the corpus is empty: there is no text to train a tokenizer on", reason="EMPTY_CORPUS")
    found = backend.get_vocab_size()
    if found < vocabulary:
        message = (
            f"the corpus ({counted.characters:,} characters) fills a vocabulary of {found:,}, not {vocabulary:,}"
        )
        step = f"Set it to {found} or less, or bring more text."
        raise InvalidInput(message, reason="VOCABULARY_TOO_LARGE", field="vocabulary", next_step=step)
    return wrap(backend)


class _Counted:
    """Passes texts on and counts their characters, since the trainer does not say whether it saw any."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = texts
        self.characters = 0

    def __iter__(self) -> Any:
        for text in self._texts:
            self.characters += len(text)
            yield text


def _trained(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    backend = Tokenizer(models.BPE())
    digits = pre_tokenizers.Digits(individual_digits=True)
    backend.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,  # a merge seen once is a quotation, not a pattern
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(iter(texts), trainer)
    return backend


def wrap(backend: Tokenizer) -> PreTrainedTokenizerFast:
    """The Hugging Face face of it; adds no token by itself, so prompt and completion can be encoded apart."""
    from transformers import PreTrainedTokenizerFast

    named = {"bos_token": BOS, "eos_token": EOS, "pad_token": PAD}
    others = [token for token in SPECIAL_TOKENS if token not in named.values()]
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend, additional_special_tokens=others, clean_up_tokenization_spaces=False, **named
    )


def load_tokenizer(directory: Path) -> PreTrainedTokenizerFast:
    """A tokenizer saved by `save_pretrained`, ours or another model's; never from the network."""
    from transformers import AutoTokenizer

    if not (directory / "tokenizer.json").is_file():
        message = f"{directory} holds no tokenizer.json"
        step = "Give the directory of a fast (tokenizers) tokenizer."
        raise InvalidInput(message, reason="NO_TOKENIZER", field=str(directory), next_step=step)
    loaded: Any = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    return cast("PreTrainedTokenizerFast", loaded)


def read_backend(directory: Path) -> Tokenizer:
    """The Rust tokenizer alone, without transformers: for services, which look at a model's files."""
    file = directory / "tokenizer.json"
    if not file.is_file():
        message = f"{directory} holds no tokenizer.json"
        step = "Save the model's fast (tokenizers) tokenizer beside its weights."
        raise InvalidInput(message, reason="NO_TOKENIZER", field=str(directory), next_step=step)
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the Rust tokenizer raises a bare Exception at a damaged file
        message = f"the tokenizer cannot be read: {error}"
        raise DataLoss(message, reason="BROKEN_FILE", field=str(file)) from error


def tokenizer_digest(tokenizer: PreTrainedTokenizerFast) -> str:
    """Digest of what decides ids: model, splitting and added tokens; not of padding or where it was saved."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    added = sorted((token["id"], token["content"]) for token in state["added_tokens"])
    deciding = {part: state[part] for part in ("normalizer", "pre_tokenizer", "decoder", "model")}
    return digest_json({**deciding, "added": added})


def check_tokenizer(tokenizer: PreTrainedTokenizerFast, expected: str, whose: str = "the model") -> None:
    """Refuse a tokenizer other than the one a model or a token file was made with."""
    found = tokenizer_digest(tokenizer)
    if found != expected:
        message = f"this tokenizer ({found[:12]}) is not the one of {whose} ({expected[:12]})"
        step = "Use the tokenizer that was saved with it."
        raise FailedPrecondition(message, reason="TOKENIZER_MISMATCH", field="tokenizer", next_step=step)


def check_fits(tokenizer: PreTrainedTokenizerFast, vocabulary: int) -> None:
    """Refuse a model whose embedding has no row for some token."""
    if len(tokenizer) > vocabulary:
        message = f"the tokenizer has {len(tokenizer):,} tokens, the model's embedding {vocabulary:,}"
        step = "Use the tokenizer that was saved with the model."
        raise FailedPrecondition(message, reason="TOKENIZER_MISMATCH", field="vocab_size", next_step=step)
