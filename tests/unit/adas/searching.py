"""Small models, a start and a context for the search."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agentforge.kit.audience import Quiet
from agentforge.kit.checkpoints import Checkpoints
from agentforge.phase7_adas.configs.search import SearchConfig
from tests import pico

FAMILIES = {"recall": [2], "arithmetic": [1]}
QUICK: dict[str, Any] = {
    "trials": 4, "batch": 2, "population": 2, "items": 10, "confirm_items": 20, "calibration": 8,
    "repeats": 3, "context": 40,
    "healing": {"steps": 2, "batch": 4, "warmup": 0, "threads": 1},
    "final": {"steps": 3, "batch": 4, "warmup": 0, "threads": 1, "checkpoint_every": 1},
    "budgets": {"accuracy_lost": 1.0, "nats_lost": None},
}  # fmt: skip


class Killed(BaseException):
    """What ends a process ends a test's search."""


def config(**told: Any) -> SearchConfig:
    return SearchConfig.model_validate({**QUICK, **told})


class Start:
    def __init__(self, model: Any) -> None:
        from agentforge.data.codec import Codec

        self.model, self.codec = model.eval(), Codec(pico.tokenizer())

    def rows(self, number: int) -> Any:
        from agentforge.data.generate import ItemStream
        from agentforge.data.loader import even_loader
        from agentforge.data.rows import ItemRows
        from agentforge.data.splits import Split

        streams = [ItemStream(name, Split.TRAIN, number, FAMILIES[name]) for name in sorted(FAMILIES)]
        rows = [ItemRows(stream, self.codec, 48) for stream in streams]
        return even_loader(rows, batch=4, pad=self.codec.pad, seed=number)

    def items(self, split: Any, count: int) -> Any:
        from agentforge.data.generate import items_by_family

        found = items_by_family(FAMILIES, split, count, 7, field="families")
        return [item for each in found.values() for item in each]


class Context(Quiet):
    """With checkpoints, and an end at a chosen one: `kill_at` saves have happened."""

    def __init__(self, directory: Path, kill_at: int | None = None) -> None:
        super().__init__()
        self.seed, self._checkpoints, self._left = 5, Checkpoints(directory), kill_at
        self.samples: list[dict[str, Any]] = []
        self.logged: list[str] = []

    @property
    def checkpoints(self) -> Any:
        return self

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        if self._left == 0:
            raise Killed
        self._left = None if self._left is None else self._left - 1
        self._checkpoints.save(step, write)

    def latest(self) -> Any:
        return self._checkpoints.latest()

    def log(self, message: str, level: str = "info") -> None:
        self.logged.append(message)

    def sample(self, name: str, data: Mapping[str, Any]) -> None:
        self.samples.append(dict(data))


@functools.cache
def ternary_titan() -> Any:
    from agentforge.models.ternary.convert import convert
    from agentforge.models.ternary.linear import Mode

    model = pico.titan(
        num_hidden_layers=2, act_steps_train=3, act_steps_infer=3, memory=True, memory_layers=[1],
        memory_slots=64, memory_chunk=16, memory_init_slots=4,
    )  # fmt: skip
    convert(model, None, Mode("tensor", threshold=0.8, fit="survivors"))
    return pico.with_noise(model, 3).eval()


@functools.cache
def llama() -> Any:
    return pico.with_noise(pico.llama(num_hidden_layers=3), 4).eval()


@functools.cache
def taught() -> Any:
    """A Llama that has something to lose."""
    from agentforge.kit.rng import Rng
    from agentforge.shrink.config import HealingConfig
    from agentforge.shrink.healing import heal
    from agentforge.shrink.masks import Zeros

    model: Any = pico.llama(num_hidden_layers=2)
    rates = HealingConfig(steps=40, batch=4, warmup=0, lr=3e-3, muon_lr=0.02, threads=1)
    heal(
        Start(model),
        model,
        Zeros(model, {}),
        rates,
        number=1,
        distillation=0.0,
        dice=Rng(1, "taught"),
        name="taught",
    )
    return model.eval()
