"""The input, the same rounded and nothing else, and fine-tuned: on the test split, which decided nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agentforge.data.items import Item
from agentforge.data.splits import Split
from agentforge.kit.audience import Audience
from agentforge.kit.measure import Measurement
from agentforge.models.ternary.linear import frozen
from agentforge.phase4_bitnet.config import BoundsConfig
from agentforge.phase4_bitnet.start import Start
from agentforge.train.judging import WITH_THOUGHTS, judged

INPUT, ROUNDED, FINETUNED = "input", "rounded", "finetuned"


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
    thinker, batch = start.thinker(model), start.config.evaluation.batch
    return judged(model, start.codec, test, f"bitnet/{who}", batch=batch, thinker=thinker)


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
