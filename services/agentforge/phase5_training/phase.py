"""The story of phase 5: train under supervision, then by exact rewards where asked, and compare with the input."""

from __future__ import annotations

from functools import partial

from agentforge.data.splits import Split
from agentforge.kit.context import PhaseContext
from agentforge.phase5_training.config import TrainingConfig
from agentforge.phase5_training.judging import judge
from agentforge.phase5_training.publish import Made, publish
from agentforge.phase5_training.start import Start, load_start
from agentforge.phase5_training.training import REWARDED, SUPERVISED, rewarded, sources, steering, supervised
from agentforge.train.machine import settled
from agentforge.train.stages import Stages


def run(context: PhaseContext, config: TrainingConfig) -> None:
    with settled(config.train):
        start = load_start(context.inputs.one("model"), config, context)
        check_rows(start)
    stages = Stages(context, plan(config), start.codec.digest)
    last = stages.run(SUPERVISED, partial(supervised, start, context.measure))
    if config.rewards.steps:
        last = stages.run(REWARDED, partial(rewarded, start, last.tensors, context.measure))
    with settled(config.train):
        made = Made(start.copy(last.tensors), stages.finished)
        publish(context, start, made, judge(context, start, made.model))


def plan(config: TrainingConfig) -> dict[str, int]:
    """Steps of each training, in order."""
    steps = {SUPERVISED: config.train.steps, REWARDED: config.rewards.steps}
    return {name: count for name, count in steps.items() if count}


def check_rows(start: Start) -> None:
    """What is wrong with rows or a split is told before the first step."""
    sources(start, steering(start))
    start.items(Split.SELECTION, start.config.evaluation.items)
    start.items(Split.TEST, start.config.evaluation.test_items)
