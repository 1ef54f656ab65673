"""Held-out numbers: every model at every family, on the same items of the test split."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from agentforge.data.generate import items_by_family
from agentforge.data.items import Item
from agentforge.data.splits import Split
from agentforge.data.tasks import FAMILIES
from agentforge.kit.context import PhaseContext
from agentforge.kit.measure import Measurement
from agentforge.kit.rng import Rng
from agentforge.models import TitanForCausalLM
from agentforge.phase1_cognate.config import CognateConfig, StageConfig
from agentforge.phase1_cognate.corpus import Corpus
from agentforge.train.evaluate import answer_accuracy, answers, item_loss, perplexity, text_bits


@dataclass(frozen=True)
class HeldOut:
    items: dict[str, list[Item]]  # by family
    texts: list[str]


def held_out(context: PhaseContext, config: CognateConfig, corpus: Corpus) -> HeldOut:
    seed = context.rng("cognate/test").seed
    return HeldOut(_items(config.families, Split.TEST, seed, config), corpus.held_out_texts())


def selection_loss(
    name: str, config: CognateConfig, corpus: Corpus, stage: StageConfig, model: TitanForCausalLM
) -> Callable[[], Measurement] | None:
    """What decides when a stage stops early: the loss on items of its families that no reported number is of."""
    if not stage.train.evaluate_every:
        return None
    seed = Rng(config.seed, "cognate/selection").seed
    families = sorted(each for each, weight in stage.mix.items() if weight and each in FAMILIES) or config.families
    items = [item for each in _items(families, Split.SELECTION, seed, config).values() for item in each]
    return partial(item_loss, model, corpus.codec, items, name=f"cognate/{name}/selection_loss")


def _items(families: Iterable[str], split: Split, seed: int, config: CognateConfig) -> dict[str, list[Item]]:
    chosen = {name: config.data.difficulty(name) for name in families}
    return items_by_family(chosen, split, config.evaluation.items, seed, field="data.difficulties")


def evaluate(name: str, model: TitanForCausalLM, corpus: Corpus, held: HeldOut) -> list[Measurement]:
    """Accuracy, loss and perplexity by family, bits per byte of text, size."""
    prefix, codec = f"cognate/{name}", corpus.codec
    found = []
    for family, items in held.items.items():
        found += answer_accuracy(model, codec, items, prefix=prefix)
        loss = item_loss(model, codec, items, name=f"{prefix}/loss/{family}")
        found += [loss, *perplexity(loss, f"{prefix}/perplexity/{family}")]
    length = corpus.config.data.text_length
    found.append(text_bits(model, codec, held.texts, name=f"{prefix}/bits_per_byte", length=length))
    found.append(Measurement(f"{prefix}/parameters", model.num_parameters(), "1", "counted in the tensors", 1))
    return found


def margins(config: CognateConfig, measured: dict[str, list[Measurement]]) -> list[Measurement]:
    """How far each specialist is ahead of the better of the other two, at its own family."""
    table = {one.name: one for each in measured.values() for one in each}
    found = []
    for name, specialist in config.specialists.items():
        own = table[f"cognate/{name}/accuracy/{specialist.family}"]
        others = [
            table[f"cognate/{other}/accuracy/{specialist.family}"] for other in config.specialists if other != name
        ]
        best = max(others, key=lambda one: one.value)
        error = sum(one.value * (1 - one.value) / one.n for one in (own, best)) ** 0.5
        method = f"accuracy at {specialist.family} less that of the better other specialist; spread: standard error"
        found.append(Measurement(f"cognate/{name}/margin", own.value - best.value, "1", method, own.n, error))
    return found


def examples(
    model: TitanForCausalLM, corpus: Corpus, held: HeldOut, family: str, count: int = 3
) -> list[tuple[Item, str]]:
    """Held-out items, and what the model says to each."""
    items = held.items[family][:count]
    return list(zip(items, answers(model, corpus.codec, items), strict=True))
