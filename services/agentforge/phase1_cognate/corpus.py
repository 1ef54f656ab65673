"""Text and tokenizer: Python's standard library, or what the user gives; and every stage's batches."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from agentforge.data.cleaned import Cleaned, report, too_small
from agentforge.data.codec import Codec
from agentforge.data.drills import DRILLS, drill
from agentforge.data.generate import ItemStream
from agentforge.data.loader import Loader
from agentforge.data.rows import ItemRows, RowSource
from agentforge.data.sources.documents import DocumentSource, SplitSource, TaskTexts, texts
from agentforge.data.sources.files import FileSource
from agentforge.data.sources.stdlib import Part, StandardLibrary
from agentforge.data.splits import Split
from agentforge.data.streams import StreamRows
from agentforge.data.tokenizer import train_tokenizer
from agentforge.kit.context import PhaseContext
from agentforge.kit.errors import InvalidInput
from agentforge.phase1_cognate.config import TEXT, CognateConfig, StageConfig

_ROWS_TRIED = 300  # of each source before the training: an item too long for its row is found now, or is very rare


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
            if isinstance(self.source, Cleaned):
                raise too_small(self.source.counts)
            message = f"{self.source.name} has no document in its test split"
            step = "Read more of it: lower data.every."
            raise InvalidInput(message, reason="CORPUS_TOO_SMALL", field="data.every", next_step=step)
        return found

    def check(self) -> None:
        """What would end the run in some later stage ends it now: no held-out text, rows that cannot be made."""
        self.held_out_texts()
        stages = [self.config.trunk, *self.config.specialists.values()]
        for name in sorted({name for stage in stages for name, weight in stage.mix.items() if weight}):
            rows = self._rows(name, self.config.seed)
            try:
                for number in range(1 if name == TEXT else _ROWS_TRIED):
                    rows.row(number)
            except InvalidInput as error:
                error.field = {"ITEM_TOO_LONG": "data.task_length"}.get(error.reason, error.field)
                raise

    def _rows(self, name: str, seed: int) -> RowSource:
        data = self.config.data
        if name == TEXT:
            return StreamRows(SplitSource(self.source, Split.TRAIN), self.codec, data.text_length)
        if name in DRILLS:
            return drill(name, self.codec, data.difficulty, seed)
        return ItemRows(ItemStream(name, Split.TRAIN, seed, data.difficulty(name)), self.codec, data.task_length)


def prepare(context: PhaseContext, config: CognateConfig) -> Corpus:
    """Find the text and train the tokenizer on its train split and on items of the tasks."""
    source: DocumentSource = StandardLibrary(Part(config.data.corpus), every=config.data.every)
    given = context.inputs.many("corpus")
    if given:
        source = Cleaned(FileSource([each.path for each in given], context.home))
    streams = [ItemStream(n, Split.TRAIN, config.seed, config.data.difficulty(n)) for n in config.families]
    tasks = TaskTexts(streams, config.data.task_texts)
    try:
        tokenizer = train_tokenizer(texts(SplitSource(source, Split.TRAIN), tasks), config.data.vocabulary)
    except InvalidInput as error:
        error.field = f"data.{error.field}" if error.field == "vocabulary" else error.field
        raise
    if isinstance(source, Cleaned):
        context.log(f"corpus: {report(source.counts)}")
    corpus = Corpus(source, Codec(tokenizer), config)
    corpus.check()
    return corpus
