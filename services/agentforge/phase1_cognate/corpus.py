"""Text and tokenizer: Python's standard library, or what the user gives; and every stage's batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.loader import Loader
from agentforge.data.quality import Cleaner, QualityConfig
from agentforge.data.rows import ItemRows, RowSource
from agentforge.data.sources.documents import START, Cursor, Document, DocumentSource, SplitSource, TaskTexts, texts
from agentforge.data.sources.files import FileSource
from agentforge.data.sources.stdlib import Part, StandardLibrary
from agentforge.data.splits import Split
from agentforge.data.streams import StreamRows
from agentforge.data.tokenizer import train_tokenizer
from agentforge.kit.context import PhaseContext
from agentforge.kit.errors import InvalidInput
from agentforge.phase1_cognate.config import DRILLS, TEXT, CognateConfig, StageConfig
from agentforge.phase1_cognate.drills import drill


@dataclass(frozen=True)
class Corpus:
    source: DocumentSource
    codec: Codec
    config: CognateConfig

    def loader(self, stage: StageConfig, seed: int) -> Loader:
        """The batches of a stage, from the train split alone."""
        sources = [(self._rows(name, seed), weight) for name, weight in sorted(stage.mix.items()) if weight]
        return Loader(sources, batch=stage.train.batch, pad=self.codec.pad, seed=seed)

    def held_out_texts(self) -> list[str]:
        """The beginnings of documents of the test split; at least one."""
        config = self.config.evaluation
        documents = (document for document, _ in SplitSource(self.source, Split.TEST).read())
        found = [document.text[: config.text_bytes] for document in islice(documents, config.texts)]
        if not found:
            message = f"{self.source.name} has no document in its test split"
            step = "Bring more text: one document in ten is held out."
            raise InvalidInput(message, reason="CORPUS_TOO_SMALL", field="corpus", next_step=step)
        return found

    def _rows(self, name: str, seed: int) -> RowSource:
        data = self.config.data
        if name == TEXT:
            return StreamRows(SplitSource(self.source, Split.TRAIN), self.codec, data.text_length)
        if name in DRILLS:
            return drill(name, self.codec, data, seed)
        return ItemRows(ItemStream(name, Split.TRAIN, seed, data.difficulty(name)), self.codec, data.task_length)


class Cleaned:
    """Documents that teach something, each once."""

    def __init__(self, source: DocumentSource) -> None:
        self.source, self.name = source, source.name

    def read(self, cursor: Cursor = START) -> Iterator[tuple[Document, Cursor]]:
        cleaner = Cleaner(QualityConfig())
        for document, after in self.source.read():
            # What lies before the cursor is read as well: whether a text is a duplicate depends on all before it.
            if cleaner.keeps(document) and after > cursor:
                yield document, after


def prepare(context: PhaseContext, config: CognateConfig) -> Corpus:
    """Find the text and train the tokenizer on its train split and on items of the tasks."""
    given = context.inputs.many("corpus")
    source: DocumentSource = StandardLibrary(Part(config.data.corpus), every=config.data.every)
    if given:
        source = Cleaned(FileSource([each.path for each in given], context.home))
    streams = [ItemStream(n, Split.TRAIN, config.seed, config.data.difficulty(n)) for n in config.families]
    tasks = TaskTexts(streams, config.data.task_texts)
    tokenizer = train_tokenizer(texts(SplitSource(source, Split.TRAIN), tasks), config.data.vocabulary)
    corpus = Corpus(source, Codec(tokenizer), config)
    corpus.held_out_texts()  # an empty test split is to be told now, not after the training
    return corpus
