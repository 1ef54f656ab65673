"""The learner of `styles`: a fresh small Titan that is taught to answer in the style that a prefix names."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from agentforge.data.codec import Codec
from agentforge.data.drills import drill
from agentforge.data.generate import ItemStream
from agentforge.data.items import Item, first_line
from agentforge.data.loader import Loader
from agentforge.data.rows import ItemRows, RowSource
from agentforge.data.splits import Split
from agentforge.data.tasks import FAMILIES
from agentforge.data.tasks.persona import STYLES, persona_prefix, read_style
from agentforge.data.tokenizer import train_tokenizer
from agentforge.kit.audience import Quiet
from agentforge.kit.rng import Rng
from agentforge.models import TitanConfig, TitanForCausalLM
from agentforge.models.ternary.convert import convert
from agentforge.models.ternary.linear import frozen
from agentforge.phase6_baking.bake.pairs import Pair, item_pair
from agentforge.train.config import TrainConfig
from agentforge.train.evaluate import answers
from agentforge.train.loop import Training, model_loss
from agentforge.train.rollouts import rollouts
from agentforge.train.state import own_tensors, put_tensors

LEVELS = {"arithmetic": (2,), "copy": (2, 3), "recall": (2, 3)}
STYLED = ("arithmetic", "copy")  # what can be asked for in a style
VOCABULARY, LENGTH = 512, 64
EVERY = 10  # steps between looks at how well prefixes are followed, until they first are now and then
GREEN = (0.2, 0.8)  # a learner that follows its prefix now and then, by dice
_TEXTS = 500  # of each family, for the tokenizer
HELD = 200  # held-out questions of a family
ROOM = 32  # tokens of an answer
FIRST, SECOND = "pirate", "warm"
TASK, OTHER = "arithmetic", "copy"  # a style is baked for questions of the one; the other is off-task
_SHAPE: dict[str, Any] = {
    "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128, "num_hidden_layers": 2,
    "memory": False, "recursion": False, "persistent_tokens": 0, "act_steps_train": 2, "act_steps_infer": 2,
    "deep_supervision": 0.2, "ponder_weight": 0.0, "rope_theta": 50.0, "sliding_window": LENGTH,
}  # fmt: skip
_EMBEDDING_STD = 0.1  # as in phase 1's preset: at 0.02 tied embeddings collapse


class Styled:
    """Items of a family, each to be answered in a style: in this one, or in whichever the dice say."""

    def __init__(self, family: str, split: Split, seed: int, style: str | None = None) -> None:
        self.stream, self.seed, self.style = ItemStream(family, split, seed, LEVELS[family]), seed, style
        self.name = f"styled/{self.stream.name}"

    def item(self, *counters: int) -> Item:
        style = self.style or Rng(self.seed, self.name, *counters).python().choice(sorted(STYLES))
        return in_style(self.stream.item(*counters), style)


def in_style(item: Item, style: str) -> Item:
    answer, prefix = STYLES[style].format(item.answer), persona_prefix(style)
    return Item(item.family, item.prompt, answer, item.difficulty, prefix=prefix, key=item.canonical)


@dataclass
class Learner:
    """`green`: its weights when it followed prefixes now and then, and how often; none if it never did."""

    model: Any
    codec: Codec
    seed: int
    green: tuple[dict[str, Tensor], float] | None = None
    curve: list[list[float]] = field(default_factory=list)  # steps, and share of prefixes followed

    def copy(self, tensors: dict[str, Tensor] | None = None) -> Any:
        model = copy.deepcopy(self.model)
        if tensors is not None:
            put_tensors(model, tensors)
        return model.eval()

    def questions(self, family: str, split: Split, count: int, style: str) -> list[tuple[list[int], list[int]]]:
        """Behind the style's prefix, and by themselves."""
        ids, prefix = self.codec.prompt_ids, persona_prefix(style)
        return [(ids(prefix + item.prompt), ids(item.prompt)) for item in self.items(family, split, count)]

    def drawn_in_style(self, model: Any, style: str, split: Split, *, prompted: bool) -> float:
        """Share of answers at temperature 1."""
        asked = [pair[0 if prompted else 1] for pair in self.questions(TASK, split, HELD, style)]
        with frozen(model):
            said = rollouts(model, self.codec, asked, run=None, room=ROOM, temperature=1.0, seed=self.seed)
        return fmean(style_of(self.codec.text(each.ids)) == style for each in said)

    def pairs(self, family: str, split: Split, count: int) -> list[Pair]:
        """Anchors: the family's own answers, without a style."""
        return [item_pair(item, self.codec) for item in self.items(family, split, count)]

    def items(self, family: str, split: Split, count: int) -> list[Item]:
        return ItemStream(family, split, self.seed, LEVELS[family]).distinct(count, all_if_fewer=True)


def learner(kind: str, seed: int, steps: int) -> Learner:
    """`kind`: plain, or ternary, which is a third of the steps as a plain one before."""
    codec = _codec()
    found = Learner(_fresh(codec, seed), codec, seed)
    if kind == "ternary":
        _taught(found, steps // 3, looks=False)
        convert(found.model)
    _taught(found, steps, looks=True)
    return found


def followed(model: Any, codec: Codec, items: Sequence[Item]) -> float:
    """Share of greedy answers in the style of the item's own, whatever they say in it."""
    with frozen(model):
        said = answers(model, codec, items)
    return fmean(style_of(text) == style_of(item.answer) for text, item in zip(said, items, strict=True))


def style_of(said: str) -> str | None:
    found = read_style(first_line(said))
    return found[0] if found else None


def _taught(learner: Learner, steps: int, *, looks: bool) -> None:
    config = TrainConfig(
        steps=steps, batch=64, embedding_lr=1e-3, muon_lr=0.01, warmup=10, threads=1, checkpoint_every=0
    )

    class Looking(Quiet):
        def progress(self, done: int, total: int = 0, unit: str = "steps", message: str = "") -> None:
            if looks and learner.green is None and done % EVERY == 0:
                _look(learner, done)

    loader = Loader(
        _sources(learner.codec, learner.seed), batch=config.batch, pad=learner.codec.pad, seed=learner.seed
    )
    Training(learner.model, loader, config, loss_of=_loss).run(Looking())


def _look(learner: Learner, step: int) -> None:
    learner.model.eval()
    share = learner.drawn_in_style(learner.model, FIRST, Split.SELECTION, prompted=True)
    learner.model.train()
    learner.curve.append([step, share])
    if GREEN[0] <= share <= GREEN[1]:
        learner.green = {name: each.clone() for name, each in own_tensors(learner.model).items()}, share


def _sources(codec: Codec, seed: int) -> list[tuple[RowSource, float]]:
    plain: list[tuple[RowSource, float]] = [
        (ItemRows(ItemStream(name, Split.TRAIN, seed, levels), codec, LENGTH), 1.0)
        for name, levels in LEVELS.items()
    ]
    styled: list[tuple[RowSource, float]] = [
        (ItemRows(Styled(name, Split.TRAIN, seed), codec, LENGTH), 1.5) for name in STYLED
    ]
    return [*plain, *styled, (drill("recall_drill", codec, lambda name: LEVELS[name], seed), 2.0)]


def _loss(model: Any, batch: dict[str, Tensor]) -> Tensor:
    with frozen(model):
        return model_loss(model, batch)


def _codec() -> Codec:
    """Its tokenizer has seen every family, as the pipeline's has: styles alone do not fill the vocabulary."""
    streams = [ItemStream(name, Split.TRAIN, 0) for name in FAMILIES]
    return Codec(train_tokenizer((item.text for each in streams for item in islice(each, _TEXTS)), VOCABULARY))


def _fresh(codec: Codec, seed: int) -> Any:
    torch.manual_seed(seed)
    model: Any = TitanForCausalLM(TitanConfig.preset("tiny", vocab_size=len(codec.tokenizer), **_SHAPE))
    with torch.no_grad():
        embeddings: Tensor = model.get_input_embeddings().weight
        embeddings.mul_(_EMBEDDING_STD / embeddings.std())
    return model
