"""Text to ids, and ids back to text while they come: never half a character, never part of a stop string."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .contract import Graph
from .errors import BrokenPackage

HOLE = "\ufffd"  # what bytes decode to that are no character, or not yet
LONGEST_HOLE = 3  # bytes of a character that is not whole; some decoders write one hole for each
KEPT = 8  # tokens of old text that are decoded again, since some decoders join neighbours


class Text:
    def __init__(self, folder: Path, graph: Graph) -> None:
        from tokenizers import Tokenizer  # here: who has another Text, as agent.pyz has, needs no tokenizers

        file = folder / "tokenizer.json"
        try:
            self._tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # tokenizers raises nothing narrower
            raise BrokenPackage(f"{file} is not a tokenizer that this version reads: {error}") from error
        self._lead = [] if graph.bos is None else [graph.bos]

    def encode(self, text: str, start: bool = True) -> list[int]:
        """`start`: the text begins a conversation, and so begins with the token that models know at the start."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return [*self._lead, *ids] if start else ids

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))


class TextStream:
    """Ids go in; text comes out as soon as it is certain."""

    def __init__(self, text: Text, stop: Sequence[str] = ()) -> None:
        self._text, self._stop = text, [each for each in stop if each]
        self._ids: list[int] = []  # since some point in the text
        self._given = 0  # characters of theirs that went on
        self._held = ""  # may be the beginning of a stop string
        self.stopped = False

    def push(self, token: int) -> str:
        self._ids.append(token)
        decoded = self._text.decode(self._ids)
        holes = min(len(decoded) - len(decoded.rstrip(HOLE)), LONGEST_HOLE)
        certain = decoded[self._given : len(decoded) - holes]
        self._given += len(certain)
        if len(self._ids) > 8 * KEPT and not holes:
            self._ids = self._ids[-KEPT:]
            self._given = len(self._text.decode(self._ids))
        return self._pass(certain)

    def end(self) -> str:
        """What was still held back; holes that nothing filled stay holes."""
        if self.stopped:
            return ""
        rest = self._pass(self._text.decode(self._ids)[self._given :]) if self._ids else ""
        held, self._held, self._ids, self._given = self._held, "", [], 0
        return rest if self.stopped else rest + held

    def _pass(self, fresh: str) -> str:
        text, self._held = self._held + fresh, ""
        found = [place for place in (text.find(each) for each in self._stop) if place >= 0]
        if found:
            self.stopped = True
            return text[: min(found)]
        held = max((_overlap(text, each) for each in self._stop), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of the text that begins the stop string."""
    sizes = range(min(len(text), len(stop) - 1), 0, -1)
    return next((size for size in sizes if text.endswith(stop[:size])), 0)
