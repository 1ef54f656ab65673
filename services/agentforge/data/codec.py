"""Text to ids and back, at the speed of the Rust tokenizer, in the two ways that training needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from agentforge.data.items import Item
from agentforge.data.tokenizer import tokenizer_digest
from agentforge.kit.errors import InvalidInput

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class Codec:
    """`ids` reads special tokens as such (our own generators); `document_ids` never does, since a document that
    quotes "<|tool|>" must not call one. `lead` is what the tokenizer puts before every text: documents, items and
    prompts begin with it, since their models know none without it; pieces of text do not."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer
        self.digest = tokenizer_digest(tokenizer)
        self.vocabulary = len(tokenizer)
        self.eos = _needed(tokenizer.eos_token_id, "eos_token")
        # Models that came without padding pad with eos; labels and the attention mask tell the two apart.
        self.pad = self.eos if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)
        self._backend: Tokenizer = tokenizer.backend_tokenizer
        self._plain: Tokenizer = Tokenizer.from_str(self._backend.to_str())
        self._plain.encode_special_tokens = True
        self._byte_ids = _byte_tokens(self._backend)
        start = tokenizer.bos_token_id
        self.lead = [start] if isinstance(start, int) and tokenizer("a").input_ids[:1] == [start] else []

    def ids(self, text: str) -> list[int]:
        return self._backend.encode(text, add_special_tokens=False).ids

    def prompt_ids(self, text: str) -> list[int]:
        return [*self.lead, *self.ids(text)]

    def document_ids(self, text: str) -> list[int]:
        return [*self.lead, *self._literal(text)]

    def text(self, ids: list[int]) -> str:
        return self._backend.decode(ids, skip_special_tokens=False)

    def item_ids(self, item: Item) -> tuple[list[int], list[bool]]:
        """(ids, learned): the whole item with its end; learned where the model itself is to speak."""
        ids = list(self.lead)
        learned = [False] * len(ids)
        for text, is_learned in item.segments():
            piece = self.ids(text)
            ids += piece
            learned += [is_learned] * len(piece)
        return [*ids, self.eos], [*learned, True]

    def token_bytes(self) -> NDArray[np.int64]:
        """Bytes each id stands for, [vocabulary], special tokens none: turns losses into bits per byte."""
        special = set(self.tokenizer.all_special_ids)
        alphabet = _byte_alphabet()
        tokens = (self._backend.id_to_token(number) or "" for number in range(self.vocabulary))
        sizes = [
            0 if n in special or not set(token) <= alphabet.keys() else len(token) for n, token in enumerate(tokens)
        ]
        return np.array(sizes, np.int64)

    def encode_bytes(self, raw: bytes) -> list[int]:
        """Exact on any bytes: what is not UTF-8 becomes single-byte tokens. Special tokens are not read."""
        ids: list[int] = []
        while raw:
            try:
                return ids + self._literal(raw.decode())
            except UnicodeDecodeError as error:
                ids += self._literal(raw[: error.start].decode())
                ids += [self._byte_ids[byte] for byte in raw[error.start : error.end]]
                raw = raw[error.end :]
        return ids

    def _literal(self, text: str) -> list[int]:
        return self._plain.encode(text, add_special_tokens=False).ids

    def decode_bytes(self, ids: list[int]) -> bytes:
        alphabet = _byte_alphabet()
        tokens = (self._backend.id_to_token(number) or "" for number in ids)
        return b"".join(bytes(alphabet[character] for character in token) for token in tokens)


def _needed(token_id: object, name: str) -> int:
    if not isinstance(token_id, int):
        message = f"the tokenizer has no {name}"
        raise InvalidInput(message, reason="NO_SPECIAL_TOKEN", field=name, next_step="Set it and save it again.")
    return token_id


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-ins for bytes, back to bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + place): byte for place, byte in enumerate(rest)}


def _byte_tokens(backend: Tokenizer) -> dict[int, int]:
    """Byte to token id; empty entries are left out for tokenizers that are not byte-level."""
    found = ((byte, backend.token_to_id(character)) for character, byte in _byte_alphabet().items())
    return {byte: token_id for byte, token_id in found if token_id is not None}
