"""Text and tokens that a user brought to a run: rows to train on, and held-out rows to measure on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from agentforge.data.cleaned import Cleaned, report, too_small
from agentforge.data.codec import Codec
from agentforge.data.prepare import MANIFEST, load_tokens
from agentforge.data.rows import RowSource, TokenRows
from agentforge.data.sources.documents import SplitSource
from agentforge.data.sources.files import FileSource
from agentforge.data.sources.quarantine import BrokenLine, Quarantine
from agentforge.data.sources.roots import find_files
from agentforge.data.splits import Split
from agentforge.data.streams import StreamRows
from agentforge.data.tokens import SUFFIXES, OpenShards, TokenShards, Windows
from agentforge.kit.context import PhaseContext
from agentforge.phase5_training.configs.data import TEXT, TOKENS, DataConfig
from agentforge.phase5_training.given import CORPUS, check_mix

HELD_OUT = (Split.SELECTION, Split.TEST)
QUARANTINE = "quarantine.jsonl"

Rows = dict[str, list[list[int]]]
"""Token ids of held-out rows, by TEXT and TOKENS."""


@dataclass(frozen=True)
class Places:
    """Where it lies; all of it below `root`. `tokens`: a file, or a folder of them."""

    root: Path
    corpus: Sequence[Path] = ()
    tokens: Path | None = None


class TextRows(StreamRows):
    """Its state holds the broken lines as well: a resumed run counts those that it does not read again."""

    def __init__(self, source: SplitSource, codec: Codec, length: int, broken: Quarantine) -> None:
        super().__init__(source, codec, length)
        self.broken = broken

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "broken": self.broken.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.broken.load_state_dict(state["broken"])
        super().load_state_dict(state)


class Given:
    """What would end the run later, as far as a row of each tells, ends it here. `tell` hears each broken line."""

    def __init__(
        self,
        places: Places,
        data: DataConfig,
        codec: Codec,
        seed: int,
        tell: Callable[[BrokenLine], object] = lambda record: None,
    ) -> None:
        self.places, self.data, self.codec, self.seed = places, data, codec, seed
        self.names = {TEXT} if places.corpus else set()
        self.names |= {TOKENS} if places.tokens else set()
        check_mix(data, self.names)
        self.broken = Quarantine(data.broken_lines, root=places.root, tell=tell)
        self.counts: Counter[str] = Counter()  # of the documents up to the last that is measured on
        self.held_out: dict[Split, Rows] = {split: {} for split in HELD_OUT}
        if places.corpus:
            self._hold_out_texts()
        if places.tokens:
            for split in HELD_OUT:
                windows = self._windows(split)
                count = min(data.held_out, len(windows))
                self.held_out[split][TOKENS] = [
                    windows.read(place * len(windows) // count).tolist() for place in range(count)
                ]
        for name in sorted(self.names):
            self.rows(name).row(0)

    @classmethod
    def of(cls, context: PhaseContext, data: DataConfig, codec: Codec) -> Given:
        """A run's inputs. Broken lines stand in its log at once, and in the end beside the model (`write`)."""
        tokens = context.inputs.maybe(TOKENS)
        corpus = [each.path for each in context.inputs.many(CORPUS)]
        places = Places(context.home, corpus, None if tokens is None else tokens.path)
        tell = partial(context.sample, "forge/broken_line")
        given = cls(places, data, codec, context.seed, tell)
        if corpus:
            context.log(f"corpus, up to the last document that is measured on: {report(given.counts)}")
        return given

    def rows(self, name: str) -> RowSource:
        """TEXT or TOKENS, of the train split; from its beginning."""
        if name == TOKENS:
            return TokenRows(self._windows(Split.TRAIN), self.data.row, self.seed, self.codec.vocabulary)
        return TextRows(SplitSource(self._cleaned(), Split.TRAIN), self.codec, self.data.row, self.broken)

    def record(self) -> dict[str, Any]:
        """For the model's card."""
        rows = {f"{split}/{name}": len(self.held_out[split][name]) for split in HELD_OUT for name in self.names}
        return {"documents": self.counts, "broken_lines": self.broken.count, "held_out_rows": rows}

    def write(self, directory: Path) -> None:
        """The broken lines, where there are some."""
        if self.broken.records:
            lines = (json.dumps(record) + "\n" for record in self.broken.records)
            (directory / QUARANTINE).write_text("".join(lines))

    def _files(self) -> FileSource:
        data = self.data
        return FileSource(
            self.places.corpus, self.places.root, field=data.text_field, broken=self.broken,
            allow_pickle=data.allow_pickle, name=TEXT,
        )  # fmt: skip

    def _cleaned(self) -> Cleaned:
        return Cleaned(self._files(), self.data.filter)

    def _hold_out_texts(self) -> None:
        """The beginnings of the first documents of each split: no more of the corpus is read than that takes."""
        found: dict[Split, list[list[int]]] = {split: [] for split in HELD_OUT}
        cleaned = self._cleaned()
        for document, _ in cleaned.read():
            rows = found.get(document.split)
            if rows is not None and len(rows) < self.data.held_out:
                rows.append([*self.codec.document_ids(document.text), self.codec.eos][: self.data.row])
                if all(len(each) == self.data.held_out for each in found.values()):
                    break
        self.counts = cleaned.counts
        for split, rows in found.items():
            if not rows:
                raise too_small(self.counts, split)
            self.held_out[split][TEXT] = rows

    def _windows(self, split: Split) -> Windows:
        """Prepared tokens know the documents that they were made of, and are split by those; others by block."""
        data, place = self.data, self.places.tokens
        assert place is not None
        shards = OpenShards(data.open_shards, field=data.token_field, allow_pickle=data.allow_pickle)
        if (place / MANIFEST).is_file():
            return Windows(load_tokens(place, split, self.codec, shards=shards), data.row)
        files = find_files([place], self.places.root, SUFFIXES)
        return Windows(TokenShards(files, name=TOKENS, shards=shards), data.row, split)
