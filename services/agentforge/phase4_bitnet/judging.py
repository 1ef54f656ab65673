"""The input, the same rounded and nothing else, and fine-tuned: on the test split, which decided nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from agentforge.data import scoring
from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.data.splits import Split
from agentforge.kit.audience import Audience
from agentforge.kit.measure import Measurement
from agentforge.models.ternary.linear import frozen
from agentforge.models.thoughts.speak import speak
from agentforge.models.thoughts.thinker import Thinker
from agentforge.phase4_bitnet.config import BoundsConfig
from agentforge.phase4_bitnet.start import Start
from agentforge.train.evaluate import ROOM, alike, answers, item_loss, perplexity

INPUT, ROUNDED, FINETUNED = "input", "rounded", "finetuned"
WITH_THOUGHTS = "_thinking"


@dataclass(frozen=True)
class Judged:
    measured: list[Measurement]
    items: list[Item]

    @property
    def values(self) -> dict[str, float]:
        """By name, without the phase's."""
        return {one.name.removeprefix("bitnet/"): one.value for one in self.measured}


def judge(context: Audience, start: Start, models: Mapping[str, Any]) -> Judged:
    """`models`: INPUT first, then what is compared with it."""
    test = start.items(Split.TEST, start.config.evaluation.test_items)
    found: list[Measurement] = []
    for number, (who, model) in enumerate(models.items()):
        context.check_stop()
        context.progress(number, len(models), "models", "test")
        with frozen(model):
            found += numbers_of(start, who, model, test)
    values = {one.name.removeprefix("bitnet/"): one.value for one in found}
    for who in list(models)[1:]:
        found += lost(who, values, start.config.bounds, len(test), context.log)
    return Judged(found, test)


def numbers_of(start: Start, who: str, model: Any, test: Sequence[Item]) -> list[Measurement]:
    """Loss, perplexity and exact answers; these with thoughts too, where the input thinks."""
    found, thinker = plain_numbers(start, who, model, test), start.thinker(model)
    if thinker is not None:
        said = spoken(thinker, start.codec, test, start.config.evaluation.batch)
        found += _accuracy(test, said, f"bitnet/{who}{WITH_THOUGHTS}")
    return found


def plain_numbers(start: Start, who: str, model: Any, items: Sequence[Item]) -> list[Measurement]:
    """Without thoughts."""
    codec, batch, prefix = start.codec, start.config.evaluation.batch, f"bitnet/{who}"
    loss = item_loss(model, codec, items, name=f"{prefix}/loss", batch=batch)
    found = [loss, *perplexity(loss, f"{prefix}/perplexity")]
    return [*found, *_accuracy(items, answers(model, codec, items, batch=batch), prefix)]


def _accuracy(items: Sequence[Item], said: Sequence[str], prefix: str) -> list[Measurement]:
    families = scoring.accuracy(items, said, prefix=prefix)
    method = f"mean over {len(families)} families, {families[0].method}"
    mean = Measurement(f"{prefix}/accuracy", fmean(one.value for one in families), "1", method, len(items))
    return [mean, *families]


def spoken(thinker: Thinker, codec: Codec, items: Sequence[Item], batch: int) -> list[str]:
    """What it says after each prompt where it thinks by its habits."""
    prompts = [codec.prompt_ids(item.prefix + item.prompt) for item in items]
    rooms = [len(codec.ids(item.completion)) + ROOM for item in items]
    said = [""] * len(items)
    for group in alike([len(prompt) for prompt in prompts], batch):
        asked, room = [prompts[place] for place in group], [rooms[place] for place in group]
        for place, each in zip(
            group, speak(thinker, asked, room, eos=codec.eos, pad=codec.pad, rows=group), strict=True
        ):
            said[place] = codec.text(each.ids)
    return said


def lost(
    who: str, values: Mapping[str, float], bounds: BoundsConfig, n: int, log: Callable[[str], None]
) -> list[Measurement]:
    """Against the input; below 0 where it is better. `within`: 1 where the bound is kept, else 0."""
    found = []
    nats = values[f"{who}/loss"] - values[f"{INPUT}/loss"]
    of_items = f"{n:,} items of the test split"
    found += _bounded(
        f"bitnet/{who}", "nats", nats, "nat", bounds.nats, f"its loss minus the input's, {of_items}", n
    )
    for how in ("", WITH_THOUGHTS):
        before, after = values.get(f"{INPUT}{how}/accuracy"), values.get(f"{who}{how}/accuracy")
        if before is None or after is None:
            continue
        if before == 0:
            log(f"bitnet/{who}{how}/lost/accuracy is not measured: the input answers nothing rightly")
            continue
        method = f"share of the input's mean accuracy over families, {of_items}"
        share = 1 - after / before
        found += _bounded(f"bitnet/{who}{how}", "accuracy", share, "1", bounds.accuracy, method, n)
    return found


def _bounded(
    prefix: str, what: str, value: float, unit: str, bound: float, method: str, n: int
) -> list[Measurement]:
    one = Measurement(f"{prefix}/lost/{what}", value, unit, method, n)
    held = float(value <= bound)
    return [
        one,
        replace(one, name=f"{prefix}/within/{what}", value=held, unit="1", method=f"<= {bound:g}, {method}"),
    ]
