"""Trainings in a row: another follows while what is lost on the selection split is outside its bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from agentforge.data.items import Item
from agentforge.data.splits import Split
from agentforge.kit import ranks
from agentforge.kit.context import PhaseContext
from agentforge.models.ternary.linear import Mode
from agentforge.phase4_bitnet.judging import FINETUNED, INPUT, lost
from agentforge.phase4_bitnet.start import Start
from agentforge.phase4_bitnet.training import fine_tuning, stage
from agentforge.train.judging import judged
from agentforge.train.machine import settled
from agentforge.train.stages import Curve, Finished, Stages
from agentforge.train.state import put_tensors


def finetune(context: PhaseContext, start: Start, modes: dict[str, Mode]) -> tuple[Any, Curve]:
    """The trained model, and its curve over the steps of all rounds."""
    config = start.config
    names = [stage(number) for number in range(config.rounds)]
    stages = Stages(context, dict.fromkeys(names, config.train.steps), start.codec.digest)
    done: list[Finished] = []
    for number, name in enumerate(names):
        before = done[-1].tensors if done else None
        done.append(stages.run(name, partial(fine_tuning, start, modes, number, before)))
        if name != names[-1] and _kept(context, start, trained(start, modes, done[-1].tensors), name):
            break
    return trained(start, modes, done[-1].tensors), _joined([each.curve for each in done], config.train.steps)


def trained(start: Start, modes: dict[str, Mode], tensors: Mapping[str, Tensor]) -> Any:
    model = start.ternary(modes)
    put_tensors(model, tensors)
    return model


def _kept(context: PhaseContext, start: Start, model: Any, name: str) -> bool:
    with settled(start.config.train):
        items = start.items(Split.SELECTION, start.config.evaluation.items)
        values = _values(start, {INPUT: start.model, FINETUNED: model}, items)
        found = lost(FINETUNED, values, start.config.bounds, len(items), context.log)
    share = ", ".join(f"{one.value:.3g} {one.unit}" for one in found if "/lost/" in one.name)
    kept = bool(ranks.current().agree(all(one.value == 1 for one in found if "/within/" in one.name)))
    end = "inside its bounds" if kept else "outside its bounds: another round is trained"
    context.log(f"{name}: lost on the selection split {share}, {end}")
    return kept


def _values(start: Start, models: Mapping[str, Any], items: Sequence[Item]) -> dict[str, float]:
    batch = start.config.evaluation.batch
    found = [
        one
        for who, model in models.items()
        for one in judged(model, start.codec, items, f"bitnet/{who}", batch=batch)
    ]
    return {one.name.removeprefix("bitnet/"): one.value for one in found}


def _joined(curves: Sequence[Curve], steps: int) -> Curve:
    return [
        {**point, "step": point["step"] + number * steps} for number, curve in enumerate(curves) for point in curve
    ]
