"""Makes candidates of the input, stores each, and measures what is read back: nothing else counts.

What a candidate is depends on its number and genes alone, not on the order in which they are made.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from agentforge.codecs.container import FILE
from agentforge.codecs.model import load_compressed, save_compressed
from agentforge.codecs.spec import Spec
from agentforge.data.items import Item
from agentforge.data.splits import Split
from agentforge.kit.audience import Quiet
from agentforge.kit.errors import FailedPrecondition
from agentforge.kit.ranks import Ranks
from agentforge.kit.rng import Rng
from agentforge.phase8_compression.agents import distiller, pruner, quantiser
from agentforge.phase8_compression.agents.trimmer import Trimmer, Words
from agentforge.phase8_compression.config import CompressionConfig
from agentforge.phase8_compression.recipe import SPARSITY, STUDENT, VOCABULARY, Space, cut_genes, space_of
from agentforge.phase8_compression.start import Start
from agentforge.phase8_compression.vocabulary.choose import smallest_size
from agentforge.phase8_compression.worth import Worth, worth_of
from agentforge.shrink.asking import Genes
from agentforge.shrink.config import HealingConfig
from agentforge.shrink.importance import Importance
from agentforge.shrink.masks import Zeros
from agentforge.shrink.ranking import importance_of
from agentforge.shrink.second import parted
from agentforge.train.loop import TrainContext


@dataclass(frozen=True)
class Candidate:
    """Made, and not yet stored."""

    model: Any
    words: Words
    plan: dict[str, Spec]


class Workshop:
    def __init__(self, start: Start, scratch: Path) -> None:
        self.start, self._scratch = start, scratch
        smallest = smallest_size(start.codec.tokenizer) if start.config.strategy == "seeds" else 0
        self.space: Space = space_of(start.model, start.codec.vocabulary, start.config, smallest)
        search = start.config.search
        every = start.items(Split.SELECTION, search.items + search.confirm_items)
        self.items, self.fresh = parted(every, search.items)
        self._trimmer = Trimmer(start)

    @property
    def config(self) -> CompressionConfig:
        return self.start.config

    @cached_property
    def importance(self) -> Importance:
        start = self.start
        items = start.items(Split.CALIBRATION, start.config.search.calibration)
        return importance_of(start.model, start.codec, items, start.config.evaluation.batch)

    def input(self, items: Sequence[Item]) -> Worth:
        """The model as it came; its bytes are of its parameters in float32."""
        size = 4 * sum(each.numel() for each in self.start.model.parameters())
        return worth_of(self.start.model, self.start.codec, items, size, self.config.evaluation.batch)

    def measure(self, number: int, genes: Genes) -> list[float]:
        """For the search: on the selection items, by what was stored and read back."""
        try:
            made = self.made(number, genes)
        except FailedPrecondition as error:
            if error.reason != "TRAINING_DIVERGED":
                raise
            return Worth.none(self.items).numbers
        return self.stored_worth(made, self.place(number), self.items).numbers

    def again(self, number: int, genes: Genes, items: Sequence[Item]) -> Worth:
        """A candidate that was measured before, on other items: from its file, if that is still there."""
        place = self.place(number)
        if not (place / FILE).is_file():
            self.store(self.made(number, genes), place)
        return self.worth(place, self._trimmer.words(genes.get(VOCABULARY)), items)

    def place(self, number: int) -> Path:
        return self._scratch / "candidates" / str(number)

    def made(self, number: int, genes: Genes) -> Candidate:
        """Healed for a few steps where its weights were cut, by this rank alone."""
        config = self.config

        def heal(model: Any, words: Words, zeros: Zeros, stage: int) -> None:
            settings = config.distillation.train if STUDENT in cut else config.healing
            if settings is None:
                return
            name = f"compression/search/{number}"
            settings = settings.model_copy(update={"checkpoint_every": 0})  # a candidate is begun anew after a kill
            with torch.random.fork_rng():
                torch.manual_seed(Rng(config.seed, "compression/search", number, stage).seed)
                training = distiller.training(
                    self.start, model, words, settings, {"zeros": zeros}, number=number, name=name
                )
                training.ranks = Ranks()
                training.run(Quiet())

        cut = cut_genes(genes, self.space.unsearched)
        model, words = self._cut(genes, cut)
        zeros = Zeros(model, {})
        shares = pruner.steps_to(str(cut[SPARSITY]), self._stages) if SPARSITY in cut else []
        for stage, share in enumerate(shares):
            zeros = pruner.zeroed(self.start, model, words.codec, share)
            heal(model, words, zeros, stage)
        if cut and not shares:
            heal(model, words, zeros, 0)
        return Candidate(model.eval(), words, quantiser.plan_of(model, genes))

    def finished(
        self, genes: Genes, settings: HealingConfig, context: TrainContext, place: Path | None
    ) -> Candidate:
        """From the input's weights once more, trained for longer through its codecs' rounding, by all ranks.

        `place`: where an earlier attempt left its state.
        """
        cut = cut_genes(genes, self.space.unsearched)
        model, words = self._cut(genes, cut)
        zeros = (
            pruner.zeroed(self.start, model, words.codec, str(cut[SPARSITY]))
            if SPARSITY in cut
            else Zeros(model, {})
        )
        plan = quantiser.learnable(quantiser.plan_of(model, genes))
        parts = quantiser.kept_through_training(model, plan, zeros)
        training = distiller.training(
            self.start, model, words, settings, parts, number=self.config.search.trials, name="compression/final"
        )
        if place is not None:
            training.load(place)
        training.run(context)
        context.checkpoints.save(settings.steps, training.save)  # a run that is killed later trains nothing again
        return Candidate(model.eval(), words, plan)

    def store(self, made: Candidate, place: Path) -> int:
        """Bytes of the file."""
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        grams = quantiser.grams_for(self.start, made.model, made.words.codec, made.plan)
        return save_compressed(place, made.model, made.plan, grams=grams, seed=self.config.seed).stat().st_size

    def stored_worth(self, made: Candidate, place: Path, items: Sequence[Item]) -> Worth:
        self.store(made, place)
        return self.worth(place, made.words, items)

    def worth(self, place: Path, words: Words, items: Sequence[Item]) -> Worth:
        size = (place / FILE).stat().st_size
        return worth_of(load_compressed(place), words.codec, items, size, self.config.evaluation.batch)

    @property
    def _stages(self) -> tuple[str, ...]:
        """Of zeros: all at once, but for the strategy that goes step by step."""
        every = tuple(str(each) for each in self.space.choices.get(SPARSITY, ())[1:])
        return every if self.config.strategy == "progressive" else ()

    def _cut(self, genes: Genes, cut: Genes) -> tuple[Any, Words]:
        """A model of its own with its tokenizer: a student, or the input without what was cut."""
        words = self._trimmer.words(genes.get(VOCABULARY))
        if STUDENT in cut:
            return distiller.student(self.start, str(cut[STUDENT]), words), words
        return words.fitted(pruner.cut(self.start.model, cut, self.importance)), words
