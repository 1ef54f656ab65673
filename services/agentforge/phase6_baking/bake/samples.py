"""Answers to bake from, drawn anew when a round begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentforge.data.codec import Codec
from agentforge.models.ternary.linear import frozen
from agentforge.phase6_baking.bake.pairs import Pair
from agentforge.phase6_baking.configs.bake import BakeConfig
from agentforge.train.rollouts import Run, rollouts

Prompts = Sequence[tuple[list[int], list[int]]]
"""A question behind the prompt, and by itself."""


def drawn(
    teacher: Any, student: Any, codec: Codec, prompts: Prompts, config: BakeConfig, *, room: int, seed: int,
    run: Run | None = None, calls: int = 1, batch: int = 256,
) -> list[Pair]:  # fmt: skip
    """By the prompted teacher, or by the student without the prompt, as the config says."""
    by_teacher = config.samples == "teacher"
    model = teacher if by_teacher else student
    asked = [prompted if by_teacher else bare for prompted, bare in prompts]
    was_training = model.training
    model.eval()
    with frozen(model):
        said = rollouts(
            model, codec, asked, run=run, room=room, calls=calls, temperature=config.temperature, seed=seed,
            batch=batch,
        )  # fmt: skip
    model.train(was_training)
    return [Pair(*prompt, each.ids, each.own) for prompt, each in zip(prompts, said, strict=True)]
