"""Documents that teach something, each once where that is asked for; and what to say of those that do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from agentforge.data.quality import Cleaner, QualityConfig
from agentforge.data.sources.documents import START, Cursor, Document, DocumentSource
from agentforge.data.splits import SHARES, Split
from agentforge.kit.errors import InvalidInput


class Cleaned:
    """`counts` says what became of the documents of the last reading."""

    def __init__(self, source: DocumentSource, config: QualityConfig | None = None) -> None:
        self.source, self.name = source, source.name
        self.config = config or QualityConfig()
        self.counts: Counter[str] = Counter()

    def read(self, cursor: Cursor = START) -> Iterator[tuple[Document, Cursor]]:
        cleaner = Cleaner(self.config)
        self.counts = cleaner.counts
        # Whether a text is a duplicate depends on all before it: then what lies before the cursor is read as well.
        for document, after in self.source.read(START if self.config.duplicates else cursor):
            if cleaner.keeps(document) and after > cursor:
                yield document, after


def report(counts: Counter[str]) -> str:
    """What became of the documents; for example: 12 documents, 10 kept, 2 too_short."""
    verdicts = sorted(counts.keys() - {"seen"}, key=lambda each: (each != "kept", each))
    return ", ".join([f"{counts['seen']:,} documents", *(f"{counts[each]:,} {each}" for each in verdicts)])


def too_small(counts: Counter[str], split: Split = Split.TEST) -> InvalidInput:
    """No document is held out: what is to be measured on them could not be."""
    message = f"the corpus has no document in its {split} split: {report(counts)}"
    step = f"Bring more text: {SHARES[split]:.0%} of it goes there. Files are cut into documents at empty lines."
    return InvalidInput(message, reason="CORPUS_TOO_SMALL", field="corpus", next_step=step)
