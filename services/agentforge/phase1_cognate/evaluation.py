"""Held-out numbers: every model at every family, on the same items of the test split."""

from __future__ import annotations

from dataclasses import dataclass

from agentforge.data.generate import ItemStream
from agentforge.data.items import Item
from agentforge.data.splits import Split, assert_split
from agentforge.kit.context import PhaseContext
from agentforge.kit.measure import Measurement
from agentforge.models import TitanForCausalLM
from agentforge.phase1_cognate.config import CognateConfig
from agentforge.phase1_cognate.corpus import Corpus
from agentforge.train.evaluate import answer_accuracy, answers, item_loss, text_bits


@dataclass(frozen=True)
class HeldOut:
    items: dict[str, list[Item]]  # by family
    texts: list[str]


def held_out(context: PhaseContext, config: CognateConfig, corpus: Corpus) -> HeldOut:
    items = {}
    for name in config.families:
        stream = ItemStream(name, Split.TEST, context.rng("cognate/test").seed, config.data.difficulty(name))
        items[name] = stream.distinct(config.evaluation.items, all_if_fewer=True)
        assert_split((item.canonical for item in items[name]), Split.TEST)
    return HeldOut(items, corpus.held_out_texts())


def evaluate(name: str, model: TitanForCausalLM, corpus: Corpus, held: HeldOut) -> list[Measurement]:
    """Accuracy and loss by family, bits per byte of text, size."""
    prefix, codec = f"cognate/{name}", corpus.codec
    found = []
    for family, items in held.items.items():
        found += answer_accuracy(model, codec, items, prefix=prefix)
        found.append(item_loss(model, codec, items, name=f"{prefix}/loss/{family}"))
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
