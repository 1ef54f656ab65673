"""Text that a user brings: looked at before a run begins, and cleaned. Free of torch: a service asks `check`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from agentforge.data.quality import Cleaner, QualityConfig
from agentforge.data.sources.documents import START, Cursor, Document, DocumentSource
from agentforge.data.sources.files import FileSource
from agentforge.data.splits import Split
from agentforge.kit.errors import ForgeError, InvalidInput, Violation
from agentforge.kit.inputs import InputPath
from agentforge.phase1_cognate.config import CognateConfig

_LOOKED_AT = 8 << 20  # characters read before a run is accepted; what lies beyond is read before the training


class Cleaned:
    """Documents that teach something, each once. `counts` says what became of those of the last reading."""

    def __init__(self, source: DocumentSource) -> None:
        self.source, self.name = source, source.name
        self.counts: Counter[str] = Counter()

    def read(self, cursor: Cursor = START) -> Iterator[tuple[Document, Cursor]]:
        cleaner = Cleaner(QualityConfig())
        self.counts = cleaner.counts
        for document, after in self.source.read():
            # What lies before the cursor is read as well: whether a text is a duplicate depends on all before it.
            if cleaner.keeps(document) and after > cursor:
                yield document, after


def check(config: CognateConfig, inputs: list[InputPath]) -> list[Violation]:
    """What is wrong with the text that was given, as far as a short look tells."""
    violations = [violation for given in inputs for violation in _unreadable(given)]
    if violations or not inputs:
        return violations
    try:
        _look(inputs)
    except ForgeError as error:
        return error.at(inputs[0].field)
    return []


def report(counts: Counter[str]) -> str:
    """What became of the documents; for example: 12 documents, 10 kept, 2 too_short."""
    verdicts = sorted(counts.keys() - {"seen"}, key=lambda each: (each != "kept", each))
    return ", ".join([f"{counts['seen']:,} documents", *(f"{counts[each]:,} {each}" for each in verdicts)])


def too_small(counts: Counter[str]) -> InvalidInput:
    """No document is held out: what is to be measured on them could not be."""
    message = f"the corpus has no document in its test split: {report(counts)}"
    step = "Bring more text: one document in ten is held out. Files are cut into documents at empty lines."
    return InvalidInput(message, reason="CORPUS_TOO_SMALL", field="corpus", next_step=step)


def _unreadable(given: InputPath) -> list[Violation]:
    """The beginning of each file."""
    found: list[Violation] = []
    try:
        files: Sequence[Path] = FileSource([given.path], given.path.parent).files
    except ForgeError as error:
        return error.at(given.field)
    for file in files:
        try:
            next(FileSource([file], file.parent).read(), None)
        except ForgeError as error:
            found += error.at(given.field)
    return found


def _look(inputs: Sequence[InputPath]) -> None:
    """Read the first documents; raise where the files end without one that is held out."""
    source = FileSource([each.path for each in inputs], Path(inputs[0].path.anchor))
    cleaner = Cleaner(QualityConfig())
    characters, held_out = 0, False
    for document, _ in source.read():
        held_out = held_out or (cleaner.keeps(document) and document.split is Split.TEST)
        characters += len(document.text)
        if characters > _LOOKED_AT:
            return
    if not held_out:
        raise too_small(cleaner.counts)
