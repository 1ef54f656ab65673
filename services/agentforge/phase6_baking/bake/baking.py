"""One baking as a training of the one loop; several in turn as rounds, each a stage of train.stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from agentforge.data.loader import Loader, Prefetch
from agentforge.data.rows import RowSource
from agentforge.kit.measure import Measurement
from agentforge.phase6_baking.bake.loss import BakeLoss
from agentforge.phase6_baking.configs.bake import BakeConfig
from agentforge.train.config import TrainConfig
from agentforge.train.loop import Training

Sources = Sequence[tuple[RowSource, float]]
START = "start"  # the model as it came


def baking(
    student: Any,
    teacher: nn.Module,  # another object than the student; it is frozen
    sources: Sources,  # whose rows all have one beside them: PairRows, Anchored
    train: TrainConfig,
    config: BakeConfig,
    *,
    pad: int,
    seed: int,
    name: str,
    evaluate: Callable[[], Measurement] | None = None,
) -> Training:
    loader = Prefetch(Loader(sources, batch=train.batch, pad=pad, seed=seed))
    loss = BakeLoss(teacher, config, train.steps)
    return Training(student, loader, train, name=name, loss_of=loss, evaluate=evaluate, parts={"bake": loss})


def mixed(task: Sources, off_task: Sources, config: BakeConfig) -> list[tuple[RowSource, float]]:
    """`config.anchor` off-task rows for each of the task; within each, by their weights."""
    found = _scaled(task, 1.0)
    return found + _scaled(off_task, config.anchor) if off_task and config.anchor else found


@dataclass(frozen=True)
class Round:
    """`student` and `teacher` name whose weights: START, or those that an earlier round ended with."""

    name: str
    prompt: str
    student: str
    teacher: str


def rounds(prompts: Sequence[str], config: BakeConfig, times: int = 1, start: str = START) -> list[Round]:
    """Each prompt so many times. Several prompts: one after the other, each taught by what came out of the
    one before (sequential baking). Within a prompt by who taught its first round, or by the round before."""
    found: list[Round] = []
    for prompt in prompts:
        first = found[-1].name if found else start
        for number in range(1, times + 1):
            student = found[-1].name if found else start
            teacher = student if config.teacher == "baked" else first
            found.append(Round(f"{prompt}-{number}", prompt, student, teacher))
    return found


def weights(
    of: str, start: Mapping[str, Tensor], finished: Mapping[str, Mapping[str, Tensor]]
) -> Mapping[str, Tensor]:
    """That a round names: `finished` is by the rounds' names, as train.stages keeps them."""
    return start if of == START else finished[of]


def _scaled(sources: Sources, whole: float) -> list[tuple[RowSource, float]]:
    total = sum(weight for _, weight in sources)
    return [(source, whole * weight / total) for source, weight in sources]
