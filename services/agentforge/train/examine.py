"""What any model can do, by numbers: exact answers per task family, and bits per byte, on the test split alone."""

from __future__ import annotations

import ast
import functools
import platform
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.items import Item
from agentforge.data.manner import right
from agentforge.data.scoring import accuracy
from agentforge.data.sources.documents import SplitSource
from agentforge.data.sources.stdlib import StandardLibrary
from agentforge.data.splits import Split, assert_split
from agentforge.data.tasks import FAMILIES
from agentforge.kit.errors import InvalidInput
from agentforge.kit.measure import Measurement
from agentforge.models.thoughts.saving import load_thinker
from agentforge.tools.saving import Kit
from agentforge.train.engine import parameters
from agentforge.train.evaluate import (
    ROOM,
    answer_accuracy,
    answer_nats,
    mean_loss,
    perplexity,
    text_bits,
    thoughtful_answers,
)
from agentforge.train.loading import LoadedModel
from agentforge.train.rollouts import rollouts

_SEED = 0  # of the items: one set for all models, or their numbers could not be compared
_TEXTS, _CHARACTERS = 40, 2_000
_ROW = 256  # tokens
_ROOM_WITH_TOOLS = 64  # tokens that a model may say, its calls among them
_LOGITS = 1 << 26  # numbers held at once: 256 MiB


@dataclass(frozen=True)
class Plan:
    items: dict[str, list[Item]]  # by family
    skipped: dict[str, str]  # why something is not measured


def plan(loaded: LoadedModel, codec: Codec, count: int, names: Sequence[str] = ()) -> Plan:
    """Items of the named families, or of all that fit the model's context."""
    items: dict[str, list[Item]] = {}
    skipped: dict[str, str] = {}
    for name in dict.fromkeys(names or FAMILIES):
        found = ItemStream(name, Split.TEST, _SEED).distinct(count, all_if_fewer=True)
        assert_split((item.canonical for item in found), Split.TEST)
        longest = max(_length(loaded, codec, item) for item in found)
        if loaded.context is None or longest <= loaded.context:
            items[name] = found
            continue
        skipped[name] = f"items of up to {longest:,} tokens; the model sees {loaded.context:,}"
        if names:
            message = f"{name} has {skipped[name]}"
            raise InvalidInput(message, reason="PROMPT_TOO_LONG", field=name, next_step="Leave this family out.")
    return Plan(items, skipped)


def _length(loaded: LoadedModel, codec: Codec, item: Item) -> int:
    if loaded.slides:
        return len(codec.prompt_ids(item.prefix + item.prompt))
    return len(codec.item_ids(item)[0]) + ROOM


def examine(loaded: LoadedModel, codec: Codec, planned: Plan, kit: Kit | None = None) -> Iterator[Measurement]:
    """`parameters`; `accuracy/<family>` and `perplexity/<family>`; `answer_loss` and `answer_perplexity` of all
    families; `bits_per_byte` where it is exact. All without thoughts; `accuracy_with_thoughts/<family>` beside them
    where the model has the habit of thinking, `accuracy_with_tools/<family>` where it has a `kit` of them."""
    model = loaded.model
    thinker = load_thinker(loaded.directory, model, loaded.tokenizer)
    yield Measurement("parameters", parameters(model), "1", "counted in the tensors", 1)
    nats, count, asked = 0.0, 0, 0
    for family, items in planned.items.items():
        (measured,) = answer_accuracy(model, codec, items, prefix="")
        yield _renamed(measured)
        if thinker is not None and thinker.habits.threshold is not None:
            (thoughtful,) = accuracy(items, thoughtful_answers(thinker, codec, items), prefix="")
            name = f"accuracy_with_thoughts/{family}"
            method = f"{thoughtful.method}, thinking as its habits say"
            yield Measurement(name, thoughtful.value, thoughtful.unit, method, thoughtful.n, thoughtful.spread)
        if kit is not None:
            yield _with_tools(loaded, codec, items, kit, family)
        longest = max(len(codec.item_ids(item)[0]) for item in items)
        more_nats, more = answer_nats(model, codec, items, batch=_batch(codec, longest))
        yield from perplexity(mean_loss(more_nats, more, len(items), name=family), f"perplexity/{family}")
        nats, count, asked = nats + more_nats, count + more, asked + len(items)
    if asked:
        loss = mean_loss(nats, count, asked, name="answer_loss")
        yield loss
        yield from perplexity(loss, "answer_perplexity")
    texts = held_out_texts()
    if counts_bytes(codec, texts):
        row = min(_ROW, loaded.context or _ROW)
        batch = _batch(codec, row)
        bits = text_bits(model, codec, texts, name="bits_per_byte", length=row, batch=batch)
        source = f"docstrings of modules of Python {platform.python_version()}"
        yield Measurement(bits.name, bits.value, bits.unit, f"{bits.method}; {source}", bits.n)
    else:
        planned.skipped["bits_per_byte"] = "the tokenizer is not byte-level: its tokens do not say how many bytes"


def _with_tools(loaded: LoadedModel, codec: Codec, items: list[Item], kit: Kit, family: str) -> Measurement:
    """Questions without the families' own prefixes: such a model needs none."""
    prompts = [codec.prompt_ids(item.prompt) for item in items]
    room = _ROOM_WITH_TOOLS
    if loaded.context is not None and not loaded.slides:
        room = min(room, loaded.context - max(map(len, prompts)))
    found = rollouts(
        loaded.model, codec, prompts, run=lambda body: kit.toolbox.run(body).text, room=room, calls=kit.calls,
    )  # fmt: skip
    said = [codec.text([token for token in each.ids if token != codec.eos]) for each in found]
    rights = [float(right(item, text)) for item, text in zip(items, said, strict=True)]
    method = "right in the end, with tools at hand, bare or in a persona's manner; test split"
    return Measurement.of_samples(f"accuracy_with_tools/{family}", rights, "1", method)


def held_out_texts() -> list[str]:
    return list(library_texts(Split.TEST))


@functools.cache  # the library is parsed for it
def library_texts(split: Split, most: int = _TEXTS) -> tuple[str, ...]:
    """The docstrings of modules of Python's library that belong to a split, one of each."""
    found: list[str] = []
    with warnings.catch_warnings(action="ignore", category=SyntaxWarning):
        for module, _ in SplitSource(StandardLibrary(), split).read():
            text = ast.get_docstring(ast.parse(module.text)) or ""
            found += [text[:_CHARACTERS]] if text else []
            if len(found) == most:
                break
    return tuple(found)


def counts_bytes(codec: Codec, texts: Sequence[str]) -> bool:
    """Whether the tokens of these texts say exactly how many bytes they stand for."""
    sizes = codec.token_bytes()
    return all(int(sizes[codec.document_ids(text)].sum()) == len(text.encode()) for text in texts)


def _batch(codec: Codec, length: int) -> int:
    return max(1, min(256, _LOGITS // (length * codec.vocabulary)))


def _renamed(one: Measurement) -> Measurement:
    return Measurement(one.name.removeprefix("/"), one.value, one.unit, one.method, one.n, one.spread)
