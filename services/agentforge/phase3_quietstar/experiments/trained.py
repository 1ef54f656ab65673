"""The trainings of `sums`: each by the phase's own code, on one pre-trained model, asked the same items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from agentforge.data.items import Item
from agentforge.data.splits import Split
from agentforge.kit.audience import Quiet
from agentforge.kit.config import validate_config
from agentforge.kit.inputs import InputPath
from agentforge.models.thoughts.mixing import MixingHead
from agentforge.models.thoughts.sampling import Sampling
from agentforge.models.thoughts.thinker import Thinker
from agentforge.phase3_quietstar.config import QuietStarConfig
from agentforge.phase3_quietstar.evaluation import (
    accuracy,
    habits_that_pay,
    hardest,
    mean_nats,
    token_nats,
    with_threshold,
)
from agentforge.phase3_quietstar.experiments.pretrained import TERMS
from agentforge.phase3_quietstar.judging import SPOILED, items_of, most_useful
from agentforge.phase3_quietstar.phase import on_answers, on_worked, with_tensors
from agentforge.phase3_quietstar.start import Start, load_start
from agentforge.phase3_quietstar.usefulness import usefulness, what_changed
from agentforge.train.machine import settled
from agentforge.train.stages import Finished
from agentforge.train.state import own_tensors

_FEW = 60  # worked steps that leave thoughts half learned, so that what trains them further can differ
CONFIG: dict[str, Any] = {
    "data": {"families": {"chain": list(TERMS)}, "worked": ["chain"], "length": 40},
    "sampling": {"length": 36},
    "worked": {"steps": 100, "batch": 64, "embedding_lr": 1e-3, "warmup": 5, "threads": 1, "checkpoint_every": 0},
    "thinking": {
        "steps": 40, "batch": 16, "lr": 1e-3, "embedding_lr": 1e-4, "muon_lr": 2e-3, "warmup": 5, "threads": 1,
        "checkpoint_every": 0,
    },
    "evaluation": {"items": 60, "test_items": 200},
}  # fmt: skip
ALPHAS = (0.05, 0.25, 0.5, 0.75, 0.95)
LENGTHS = (6, 12, 24, 36)
THOUGHTS = (1, 2, 4, 8)


@dataclass(frozen=True)
class Asked:
    """The items of one seed, and which of their tokens were hardest for the model as it came."""

    selection: list[Item]
    test: list[Item]
    hard: list[torch.Tensor]


def everything(seed: int, directory: Path, options: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    start = _start(seed, directory, {})
    with settled(start.config.thinking):
        asked = _asked(start)
    worked = _finished(start, None, "worked")
    thinking = _thinking(start, asked, worked)
    thoughtless = _finished(start, None, "thoughtless_worked")
    with settled(start.config.thinking):
        found = {
            "test": {
                "input": _numbers(start, start.thinker(start.model), asked, "off"),
                "thoughtless": _numbers(start, _last(start, "thoughtless", thoughtless), asked, "off"),
                "thoughtless_compute": _compute(seed, directory, asked, thoughtless),
                "thinking": _numbers(start, thinking, asked, "on"),
                "thinking_off": _numbers(start, thinking, asked, "off"),
                **{how: _numbers(start, thinking, asked, how) for how in SPOILED},
            },
            "threshold": thinking.habits.threshold,
            "predictions": _predictions(start, thinking, asked),
            "sweeps": _sweeps(start, thinking, asked),
            "coherence": usefulness(thinking, start.codec, asked.test).correlations,
            "worked": _numbers(start, with_threshold(with_tensors(start, worked), 0.0), asked, "on"),
        }
    return {**found, **_others(seed, directory, asked, options)}


def _others(seed: int, directory: Path, asked: Asked, options: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The paper's way, which shows no thoughts; and all options, from thoughts that are half learned."""
    paper = _start(seed, directory, {"data": {"worked": []}, "thinking": {"steps": 60}})
    found: dict[str, Any] = {"alone": _numbers(paper, _thinking(paper, asked, None), asked, "on")}
    half = _start(seed, directory, {"worked": {"steps": _FEW}})
    worked = _finished(half, None, "worked")
    found["half"] = _numbers(half, with_threshold(with_tensors(half, worked), 0.0), asked, "on")
    found["default"] = _numbers(half, _thinking(half, asked, worked), asked, "on")
    found["options"] = {}
    for name, changed in options.items():
        start = _start(seed, directory, changed)
        found["options"][name] = _numbers(start, _thinking(start, asked, worked), asked, "on")
    return found


def _start(seed: int, directory: Path, changed: Mapping[str, Any]) -> Start:
    values = {"seed": seed, **CONFIG}
    for name, fields in changed.items():
        values[name] = {**values.get(name, {}), **fields}
    return load_start(InputPath("model", "model", directory, ""), validate_config(QuietStarConfig, values))


def _asked(start: Start) -> Asked:
    config = start.config.evaluation
    test = items_of(start, Split.TEST, config.test_items)
    before = token_nats(start.thinker(start.model), start.codec, test, "off")
    return Asked(items_of(start, Split.SELECTION, config.items), test, hardest(before))


def _finished(start: Start, before: Finished | None, name: str) -> Finished:
    made = on_worked(start, name) if name.endswith("worked") else on_answers(Quiet(), start, name, before)
    made.run(Quiet())
    return Finished({key: tensor.clone() for key, tensor in own_tensors(made.model).items()}, made.counters())


def _last(start: Start, name: str, before: Finished | None) -> Thinker:
    return with_tensors(start, _finished(start, before, name))


def _thinking(start: Start, asked: Asked, before: Finished | None) -> Thinker:
    """Trained, and thinking where that was best on the selection split; not never."""
    thinker = _last(start, "thinking", before)
    with settled(start.config.thinking):
        habits, table = habits_that_pay(thinker, start.codec, asked.selection, (0.0, 0.1))
    return with_threshold(thinker, most_useful(habits, table))


def _compute(seed: int, directory: Path, asked: Asked, worked: Finished) -> dict[str, float]:
    start = _start(seed, directory, {})
    config = start.config.model_copy(update={"thoughtless": "compute"})
    start = replace(start, config=config)
    return _numbers(start, _last(start, "thoughtless", worked), asked, "off")


def _numbers(start: Start, thinker: Thinker, asked: Asked, how: str) -> dict[str, float]:
    nats = token_nats(thinker, start.codec, asked.test, how)
    (right,) = accuracy(thinker, start.codec, asked.test, how, prefix="sums")
    return {"accuracy": right.value, "loss": mean_nats(nats), "hard_loss": mean_nats(nats, asked.hard)}


def _predictions(start: Start, thinker: Thinker, asked: Asked) -> dict[str, float]:
    measured = what_changed(thinker, start.codec, asked.test)
    return {one.name.removeprefix("quietstar/predictions/"): one.value for one in measured}


def _sweeps(start: Start, thinker: Thinker, asked: Asked) -> dict[str, float]:
    """Loss on the hardest tenth of tokens when the trained model thinks otherwise than it learned to."""
    found = {}
    for alpha in ALPHAS:
        head = MixingHead(thinker.model.get_input_embeddings().weight.shape[1], alpha)
        found[f"alpha {alpha}"] = Thinker(thinker.model, thinker.marks, thinker.habits, head)
    for name, values in (("length", LENGTHS), ("thoughts", THOUGHTS)):
        for value in values:
            sampling = Sampling(**{**asdict(thinker.habits.sampling), name: value})
            habits = replace(thinker.habits, sampling=sampling)
            found[f"{name} {value}"] = Thinker(thinker.model, thinker.marks, habits, thinker.head)
    hard = asked.hard
    return {name: mean_nats(token_nats(each, start.codec, asked.test, "on"), hard) for name, each in found.items()}
