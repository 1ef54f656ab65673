"""The input and what training made of it, on the test split, which decided nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from agentforge.data.items import Item
from agentforge.data.splits import Split
from agentforge.kit.audience import Audience
from agentforge.kit.measure import Measurement
from agentforge.models.ternary.linear import frozen
from agentforge.phase5_training.selfmodel import calibration, complexity, layers_of
from agentforge.phase5_training.start import Start
from agentforge.phase5_training.validation import given_losses
from agentforge.train.judging import WITH_THOUGHTS, judged

INPUT, TRAINED = "input", "trained"


@dataclass(frozen=True)
class Judged:
    measured: list[Measurement]
    items: list[Item]

    @property
    def values(self) -> dict[str, float]:
        """By name, without the phase's."""
        return {one.name.removeprefix("forge/"): one.value for one in self.measured}


def judge(context: Audience, start: Start, trained: Any) -> Judged:
    test = start.items(Split.TEST, start.config.evaluation.test_items)
    found: list[Measurement] = []
    for number, (who, model) in enumerate({INPUT: start.model, TRAINED: trained}.items()):
        context.check_stop()
        context.progress(number, 2, "models", "test")
        with frozen(model):
            found += numbers_of(start, who, model, test)
    values = {one.name.removeprefix("forge/"): one.value for one in found}
    return Judged([*found, *risen(values, len(test), context.log)], test)


def numbers_of(start: Start, who: str, model: Any, test: Sequence[Item]) -> list[Measurement]:
    """How often it is right and how sure of it, and how complex it is: what self-modelling is said to change."""
    prefix, batch = f"forge/{who}", start.config.evaluation.batch
    found = judged(model, start.codec, test, prefix, batch=batch, thinker=start.thinker(model))
    found += given_losses(model, start.given, Split.TEST, prefix, batch)
    found.append(calibration(model, start.codec, test, name=f"{prefix}/calibration_error"))
    if len(layers_of(model)) > 1:
        depths = start.config.selfmodel.depths
        found += complexity(model, start.codec, test, depths, prefix=prefix, batch=batch)
    return found


def risen(values: Mapping[str, float], n: int, log: Callable[[str], None]) -> list[Measurement]:
    """Over the input. `forgotten`: what families lost that it answered better."""
    found = []
    for how in ("", WITH_THOUGHTS):
        before, after = (values.get(f"{who}{how}/accuracy") for who in (INPUT, TRAINED))
        if before is None or after is None:
            continue
        if before == 0:
            log(f"forge/risen{how}/accuracy is not measured: the input answers nothing rightly")
        else:
            method = f"accuracy over the input's less 1, mean over families, {n:,} items of the test split"
            found.append(Measurement(f"forge/risen{how}/accuracy", after / before - 1, "1", method, n))
        start = f"{INPUT}{how}/accuracy/"
        families = [name.removeprefix(start) for name in values if name.startswith(start)]
        lost = [
            max(0.0, values[f"{INPUT}{how}/accuracy/{each}"] - values[f"{TRAINED}{how}/accuracy/{each}"])
            for each in families
        ]
        method = f"accuracy lost where it fell, mean over {len(families)} families, {n:,} items of the test split"
        found.append(Measurement(f"forge/forgotten{how}/accuracy", fmean(lost), "1", method, n))
    return found
