"""Fewer tokens for a candidate: the tokenizer it has then, and a model whose rows are these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agentforge.data.codec import Codec
from agentforge.data.splits import Split
from agentforge.phase8_compression.start import Start
from agentforge.phase8_compression.vocabulary.choose import choose
from agentforge.phase8_compression.vocabulary.rebuild import rebuilt
from agentforge.phase8_compression.vocabulary.trim import trimmed
from agentforge.phase8_compression.vocabulary.usage import usage

_COUNTED = 1_000  # items of each family whose tokens are counted


@dataclass(frozen=True)
class Words:
    """`kept`: the old id of each new one; None: all tokens, as they came."""

    codec: Codec
    kept: tuple[int, ...] | None = None

    def fitted(self, model: Any) -> Any:
        return model if self.kept is None else trimmed(model, self.kept)


class Trimmer:
    """Each size is chosen once, by the tokens of train items."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._known: dict[int, Words] = {}

    def words(self, size: int | str | None) -> Words:
        if size is None or int(size) >= self._start.codec.vocabulary:
            return Words(self._start.codec)
        if int(size) not in self._known:
            self._known[int(size)] = self._chosen(int(size))
        return self._known[int(size)]

    def _chosen(self, size: int) -> Words:
        codec = self._start.codec
        counts_V = usage(codec, items=self._start.items(Split.TRAIN, _COUNTED))
        made = rebuilt(codec.tokenizer, choose(codec.tokenizer, counts_V, size).kept)
        return Words(Codec(made.tokenizer), made.kept)
