"""What the phase begins with: the model as it came, its tokenizer with the marks, the rows of both trainings."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.loader import ROWS_TRIED, Loader, even_loader
from agentforge.data.rows import IGNORED, ItemRows, RowSource
from agentforge.data.splits import Split
from agentforge.kit.inputs import InputPath
from agentforge.kit.rng import Rng
from agentforge.models.thoughts.foreign import check_model
from agentforge.models.thoughts.mixing import MixingHead
from agentforge.models.thoughts.sampling import Sampling
from agentforge.models.thoughts.saving import load_thinker
from agentforge.models.thoughts.thinker import Habits, Thinker
from agentforge.models.thoughts.tokens import Marks, add_marks, begin
from agentforge.phase3_quietstar.config import STEPS, QuietStarConfig
from agentforge.phase3_quietstar.rows import ThoughtRows
from agentforge.train.config import TrainConfig
from agentforge.train.loading import load_model


@dataclass(frozen=True)
class Start:
    """`known` is there where the model could think already; else its marks begin as those of a new thinker."""

    model: Any
    codec: Codec
    marks: Marks
    known: Thinker | None
    config: QuietStarConfig

    def habits(self, threshold: float | None = None) -> Habits:
        sampling = Sampling(**self.config.sampling.model_dump())
        return Habits(sampling, self.config.ahead, threshold, self.config.seed)

    def copy(self) -> Any:
        return copy.deepcopy(self.model)

    @property
    def came(self) -> Thinker:
        """As it came, with its habits."""
        return self.thinker(self.model) if self.known is None else self.known

    def thinker(self, model: Any) -> Thinker:
        if self.known is not None:
            return Thinker(model, self.marks, self.habits(), copy.deepcopy(self.known.head))
        torch.manual_seed(Rng(self.config.seed, "quietstar/head").seed)
        head = MixingHead(model.get_input_embeddings().weight.shape[1], self.config.first_alpha)
        return Thinker(model, self.marks, self.habits(), head)

    def plain(self) -> Loader:
        """Questions and answers: what thinking is trained on, and its thoughtless counterpart."""
        return self._loader(self._plain_rows(), self.config.thinking.batch)

    def worked(self, *, thoughts: bool) -> Loader:
        """The same among worked ones, whose steps are thoughts; or seen in the text, for the thoughtless one."""
        rows = self._plain_rows()
        for name in sorted(self.config.data.worked):
            stream = self._stream(name + STEPS, self.config.data.difficulty(name))
            if thoughts:
                longest = self.config.sampling.length
                rows.append(ThoughtRows(stream, self.codec, self.marks, self._length, longest, self.config.seed))
            else:
                rows.append(ItemRows(stream, self.codec, self._length))
        return self._loader(rows, self.config.worked.batch)

    @property
    def thoughtless(self) -> TrainConfig:
        """As `thinking`; with so many more steps that it has as much compute, where that is asked for."""
        steps = self.config.thinking.steps
        if self.config.thoughtless == "compute":
            steps = round(steps * self.price)
        return self.config.thinking.model_copy(update={"steps": steps})

    @property
    def price(self) -> float:
        """Passes of tokens of a step of thinking, over those of a step without thoughts; backward counts as two.

        Counted for thoughts of full length: it is rather the thoughtless training that gets too much.
        """
        config, rows = (
            self.config,
            [row for each in self._plain_rows() for row in map(each.row, range(ROWS_TRIED))],
        )
        tokens = fmean(len(row.ids) for row in rows)
        places = fmean(math.ceil(config.injection.budget * int((row.labels != IGNORED).sum())) for row in rows)
        drawn = config.sampling.length + 2
        passes = drawn + 3 * (drawn + config.ahead - 1)  # drawn without gradients, then gone through with them
        return (3 * tokens + places * config.sampling.thoughts * passes) / (3 * tokens)

    @property
    def _length(self) -> int:
        """Of a row with everything in it."""
        return self.config.data.length + self.config.sampling.length + 2

    def _plain_rows(self) -> list[RowSource]:
        data = self.config.data
        streams = [self._stream(name, data.difficulty(name)) for name in sorted(data.families)]
        return [ItemRows(stream, self.codec, data.length) for stream in streams]

    def _stream(self, name: str, difficulties: tuple[int, ...]) -> ItemStream:
        return ItemStream(name, Split.TRAIN, self.config.seed, difficulties)

    def _loader(self, rows: list[RowSource], batch: int) -> Loader:
        return even_loader(rows, batch=batch, pad=self.codec.pad, seed=self.config.seed)


def load_start(given: InputPath, config: QuietStarConfig) -> Start:
    with given.named_in_errors():
        loaded = load_model(given.path)
        check_model(loaded.model)
        known = load_thinker(loaded.directory, loaded.model, loaded.tokenizer)
        marks = add_marks(loaded.tokenizer, loaded.model)
    if known is None:
        begin(loaded.tokenizer, loaded.model, [marks.start, marks.end])
    return Start(loaded.model, Codec(loaded.tokenizer), marks, known, config)
