"""Measures for `throughput`: trainings of one process that take some steps each in turns, timed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from agentforge.data.codec import Codec
from agentforge.kit.audience import Quiet
from agentforge.kit.checkpoints import Checkpoints
from agentforge.kit.config import resolved, validate_config
from agentforge.models import TitanConfig, TitanForCausalLM
from agentforge.models.ternary.convert import convert
from agentforge.phase5_training.config import TrainingConfig
from agentforge.phase5_training.experiments.learner import codec_for
from agentforge.phase5_training.experiments.settings import Fields, merged
from agentforge.phase5_training.experiments.throughput import DEFAULT
from agentforge.phase5_training.sources import Given, Places
from agentforge.phase5_training.start import Start
from agentforge.phase5_training.training import supervised
from agentforge.train.loop import Training

ROUNDS = 3
_FAMILIES = {"arithmetic": [2], "recall": [2, 3, 4], "nested": [1, 2, 3]}
_LENGTH, _VOCABULARY = 32, 312
_TAUGHT = 60  # steps: after them answers end, as those of a model end that is worth training on
_ENDLESS = 1_000_000
_PLAIN = {
    "num_hidden_layers": 2, "act_steps_train": 3, "act_steps_infer": 3, "rope_theta": 50.0, "sliding_window": 64,
    "memory": False, "recursion": False, "persistent_tokens": 0,
}  # fmt: skip
# Fields of the model beside the size's own, rows of a batch, steps of a turn, turns of a round.
_SHAPES: dict[str, tuple[Fields, int, int, int]] = {"tiny": (_PLAIN, 64, 14, 3), "full": ({}, 4, 1, 1)}
_CYCLE = 42  # steps of a round

_OFF: Fields = {
    "pace": {"kind": "none"}, "edge": {"kind": "uniform"}, "selfmodel": {"weight": 0.0}, "dreams": {"every": 0},
    "quantised": {"regulariser": 0.0, "scaling": "none", "count": False},
    "train": {
        "grokfast": {"filter": "none"}, "evaluate_every": 0, "patience": 0, "rewind": {"most": 0},
        "checkpoint_every": 0, "threads": 1, "steps": _ENDLESS,
    },
}  # fmt: skip
# What is rare falls into every round, and is as much smaller: dreams (1,000 and 50 steps, 256 prompts) by 25, a
# measurement of 128 items every 25 steps, a validation of 100 items every 100. States are kept more often.
_ON: dict[str, Fields] = {
    "four stages": {"pace": {"kind": "stages"}},
    "Grokfast": {"train": {"grokfast": {"filter": "ema"}}},
    "self-modelling": {"selfmodel": {"weight": 0.1}},
    "dreams": {"dreams": {"every": 40, "steps": 2, "prompts": 10}},
    "difficulty at the edge": {"edge": {"kind": "edge", "every": 21, "items": 108}},
    "flips counted": {"quantised": {"count": True}},
    "updates scaled": {"quantised": {"scaling": "update"}},
    "latents drawn to their codes": {"quantised": {"regulariser": 0.1}},
    "validation": {"train": {"evaluate_every": _CYCLE, "patience": 20}, "evaluation": {"items": 42}},
    "rewinds": {"train": {"rewind": {"most": 3, "every": _CYCLE}}},
}
_ASKING = ("dreams", "difficulty at the edge", "validation")  # sized for batches of dozens of rows
_LARGE = ("Grokfast", "self-modelling")  # a training of 25 M parameters takes 1 GB, and all stand side by side


class Turns(Quiet):
    """A context that lets a training, in a thread of its own, take so many steps at a time, and counts tokens."""

    def __init__(self, training: Training) -> None:
        super().__init__()
        self.training, self.tokens = training, 0
        self._left, self._loss_of, self._error = 0, training.loss_of, list[BaseException]()
        training.loss_of = self._counting
        self._go, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._work, daemon=True)

    def take(self, steps: int) -> None:
        """Nothing of it goes on meanwhile, nor afterwards."""
        self._left = steps
        if self._thread.ident is None:
            self._thread.start()
        self._go.release()
        self._done.acquire()
        if not self._thread.is_alive() or self._error:
            raise RuntimeError("the training is over") from next(iter(self._error), None)

    def check_stop(self, save: Callable[[], None] | None = None) -> None:
        if self._left == 0:
            self._done.release()
            self._go.acquire()
        self._left -= 1

    def _work(self) -> None:
        self._go.acquire()
        try:
            self.training.run(self)
        except BaseException as error:
            self._error.append(error)
        finally:
            self._done.release()

    def _counting(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        self.tokens += int(batch["attention_mask"].sum())
        return self._loss_of(model, batch)


def options(size: str) -> dict[str, Any]:
    """Tokens a second of CPU time, of every option alone, of none, and of the default config, by round."""
    _, rows, steps, turns = _SHAPES[size]
    left_out = list(_ASKING) if size != "tiny" else []
    on = [name for name in _ON if name not in left_out and _by_default(name)]
    alone = {name: fields for name, fields in _ON.items() if size == "tiny" or name in _LARGE}
    cases: dict[str, Fields] = {"off": {}, **alone, DEFAULT: _default(left_out)}
    codec, model = _learner(size)
    trainings = {name: Turns(_training(codec, model, size, fields)) for name, fields in cases.items()}
    for each in trainings.values():
        each.take(1)
    found = {"rows": rows, "steps": steps * turns, "on": on, "left_out": left_out}
    speeds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, speed in _round(trainings, steps, turns).items():
            speeds[name].append(speed)
    return {**found, "parameters": _parameters(model), "speeds": speeds}


def kept(size: str) -> dict[str, Any]:
    """Wall time of a step, of keeping a state to go back to, and of a checkpoint with such a state."""
    codec, model = _learner(size)
    training = _training(codec, model, size, _default(_ASKING))
    turns = Turns(training)
    turns.take(2)
    seconds: dict[str, list[float]] = {"step": [], "states kept": [], "checkpoints": []}
    with TemporaryDirectory(prefix="af-kept-") as place:
        checkpoints = Checkpoints(Path(place))
        for number in range(ROUNDS):
            seconds["step"].append(_seconds(lambda: turns.take(1)))
            seconds["states kept"].append(_seconds(lambda: training._keep(again=True)))
            seconds["checkpoints"].append(_seconds(lambda: checkpoints.save(number, training.save)))  # noqa: B023
        latest = checkpoints.latest()
        assert latest is not None
        on_disk = sum(file.stat().st_size for file in latest.path.rglob("*") if file.is_file())
    return {**seconds, "rows": _SHAPES[size][1], "parameters": _parameters(model), "bytes": on_disk}


def fresh(size: str, kind: str, steps: int) -> Training:
    """With every option off. `kind`: plain or ternary."""
    codec, model = _learner(size, taught=False, kind=kind)
    return _training(codec, model, size, {"train": {"steps": steps}})


def _round(trainings: Mapping[str, Turns], steps: int, turns: int) -> dict[str, float]:
    tokens, seconds = dict.fromkeys(trainings, 0), dict.fromkeys(trainings, 0.0)
    for _ in range(turns):
        for name, each in trainings.items():
            before, began = each.tokens, time.process_time()
            each.take(steps)
            seconds[name] += time.process_time() - began
            tokens[name] += each.tokens - before
    return {name: tokens[name] / seconds[name] for name in trainings}


def _default(left_out: Sequence[str]) -> Fields:
    return merged({}, *(fields for name, fields in _ON.items() if name not in left_out and _by_default(name)))


def _by_default(name: str) -> bool:
    """Whether the default config has it on."""
    usual = TrainingConfig()
    return {
        "four stages": usual.pace.kind == "stages",
        "Grokfast": usual.train.grokfast.filter != "none",
        "self-modelling": usual.selfmodel.weight > 0,
        "dreams": usual.dreams.every > 0,
        "difficulty at the edge": usual.edge.kind == "edge",
        "flips counted": usual.quantised.count,
        "updates scaled": usual.quantised.scaling != "none",
        "latents drawn to their codes": usual.quantised.regulariser > 0,
        "validation": usual.train.evaluate_every > 0,
        "rewinds": usual.train.rewind.most > 0,
    }[name]


def _learner(size: str, *, taught: bool = True, kind: str = "ternary") -> tuple[Codec, Any]:
    """A fresh model; that of `tiny` is taught how answers end."""
    fields, *_ = _SHAPES[size]
    codec = codec_for(_FAMILIES, _VOCABULARY)
    torch.manual_seed(42)
    vocabulary = {"vocab_size": len(codec.tokenizer)} if size == "tiny" else {}
    model: Any = TitanForCausalLM(TitanConfig.preset(size, **{**vocabulary, **fields}))
    if kind == "ternary":
        convert(model)
    if taught and size == "tiny":
        teaching = Turns(_training(codec, model, size, {}))
        teaching.take(_TAUGHT)
        model = teaching.training.model
    return codec, model


def _training(codec: Codec, model: Any, size: str, fields: Fields) -> Training:
    """The phase's own. Its model is a copy."""
    data = {"families": _FAMILIES, "length": _LENGTH}
    asked = merged(resolved(TrainingConfig()), _OFF, {"data": data, "train": {"batch": _SHAPES[size][1]}}, fields)
    config = validate_config(TrainingConfig, asked)
    nowhere = Path()
    start = Start(nowhere, model, codec, config, Given(Places(nowhere), config.data, codec, config.seed))
    return supervised(start, lambda _: None)


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
