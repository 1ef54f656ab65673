"""The trainings of `ablation` and `grokfast`: each by the phase's own code, on one input, asked the same items."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from torch import Tensor, nn

from agentforge.data.items import Item
from agentforge.data.splits import Split
from agentforge.kit.audience import Quiet
from agentforge.kit.config import validate_config
from agentforge.kit.inputs import InputPath
from agentforge.models.ternary.linear import frozen, set_strength
from agentforge.phase5_training.config import TrainingConfig
from agentforge.phase5_training.experiments.settings import Fields, merged
from agentforge.phase5_training.judging import numbers_of
from agentforge.phase5_training.start import Start, load_start
from agentforge.phase5_training.training import rewarded, supervised
from agentforge.train.loop import Training
from agentforge.train.machine import settled
from agentforge.train.state import own_tensors

_AWAY = 1_000_003  # from the seed: a training that goes on sees other rows than those it began with


@dataclass(frozen=True)
class Cost:
    seconds: float  # of one thread
    tokens: int  # passed through the model to learn from

    @property
    def told(self) -> dict[str, float]:
        return {"seconds": self.seconds, "tokens": self.tokens}


def compared(
    directory: Path, base: Fields, options: Mapping[str, Fields], plainly: str, rewards: int
) -> dict[str, Any]:
    """The base, each option beside it, plain weights, and `rewards` steps of GRPO after it."""
    start = started(directory, base)
    test = start.items(Split.TEST, start.config.evaluation.test_items)
    training, before, cost = _selecting(start)
    tensors = {name: tensor.clone() for name, tensor in own_tensors(training.model).items()}
    found = {name: learned(started(directory, merged(base, changed)), test) for name, changed in options.items()}
    return {
        "steps": start.config.train.steps, "items": len(test), "input": numbers(start, start.model, test),
        "base": {**numbers(start, training.model, test), **cost.told, "curve": _curve(training), "before": before},
        "options": {**found, plainly: _without_codes(start, test)},
        "rewards": _rewards(start, tensors, cost, rewards, test),
    }  # fmt: skip


def started(directory: Path, fields: Fields) -> Start:
    return load_start(InputPath("model", "model", directory, ""), validate_config(TrainingConfig, fields))


def learned(start: Start, test: Sequence[Item]) -> dict[str, Any]:
    training, before, cost = _selecting(start)
    return {**numbers(start, training.model, test), **cost.told, "curve": _curve(training), "before": before}


def numbers(start: Start, model: Any, test: Sequence[Item]) -> dict[str, Any]:
    """`complexity`: how many directions hidden states vary in, mean over the tapped layers."""
    with settled(start.config.train), frozen(model):
        measured = numbers_of(start, "who", model, test)
    values = {one.name.removeprefix("forge/who/"): one.value for one in measured}
    return {
        **{name: values[name] for name in ("loss", "accuracy", "calibration_error", "weight_spread")},
        "participation_ratio": fmean(_below("participation_ratio/", values).values()),
        "families": _below("accuracy/", values),
    }


def _without_codes(start: Start, test: Sequence[Item]) -> dict[str, Any]:
    """Latents trained as plain weights, rounded in the end. No curve: it would not be of what it ends as."""
    training = supervised(start, _unheard)
    set_strength(training.model, 0.0)
    cost = _run(training)
    set_strength(training.model, 1.0)
    return {**numbers(start, training.model, test), **cost.told}


def _rewards(
    start: Start, tensors: dict[str, Tensor], base: Cost, steps: int, test: Sequence[Item]
) -> dict[str, Any]:
    """GRPO from these weights on, and supervision that goes on for as long and for as many tokens."""
    asked = start.config.rewards.model_copy(update={"steps": steps})
    on = replace(start, config=start.config.model_copy(update={"rewards": asked}))
    training = rewarded(on, tensors, _unheard)
    cost = _run(training)
    drawn = cost.tokens * training.loader.asked / (steps * asked.prompts)  # type: ignore[attr-defined]
    tokens = cost.tokens + round(drawn)
    each = start.config.train.steps
    more = {"seconds": cost.seconds / (base.seconds / each), "tokens": tokens / (base.tokens / each)}
    return {
        "grpo": {**numbers(start, training.model, test), "seconds": cost.seconds, "tokens": tokens},
        **{kind: _going_on(start, tensors, max(1, round(count)), test) for kind, count in more.items()},
    }


def _going_on(start: Start, tensors: dict[str, Tensor], steps: int, test: Sequence[Item]) -> dict[str, Any]:
    """At the base's highest rate, which falls from the first step to the last."""
    changed = {"steps": steps, "warmup": 0, "schedule": "wsd", "decay": 1.0}
    config = start.config.model_copy(
        update={"train": start.config.train.model_copy(update=changed), "seed": start.config.seed + _AWAY}
    )
    training = supervised(replace(start, model=start.copy(tensors), config=config), _unheard)
    cost = _run(training)
    return {**numbers(start, training.model, test), **cost.told, "steps": steps}


def _selecting(start: Start) -> tuple[Training, float, Cost]:
    """With the selection loss before the first step."""
    training = supervised(start, _unheard)
    assert training.evaluate is not None
    training.model.eval()
    with settled(start.config.train):
        before = training.evaluate().value
    return training, before, _run(training)


def _run(training: Training) -> Cost:
    tokens, loss_of = 0, training.loss_of

    def counting(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        nonlocal tokens
        tokens += int(batch["attention_mask"].sum())
        return loss_of(model, batch)

    training.loss_of = counting
    began = time.process_time()  # with one thread that is the time it takes, whoever else is on the machine
    training.run(Quiet())
    return Cost(time.process_time() - began, tokens)


def _curve(training: Training) -> list[list[float]]:
    """Step and selection loss."""
    name = "forge/selection_loss"
    return [[point["step"], point[name]] for point in training.curve if name in point]


def _below(prefix: str, values: Mapping[str, float]) -> dict[str, float]:
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}


def _unheard(_measurement: object) -> None:
    return
