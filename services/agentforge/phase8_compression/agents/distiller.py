"""KnowledgeDistiller: what is cut, and what is new and smaller, learns from the input as it came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentforge.phase8_compression.agents.trimmer import Words
from agentforge.phase8_compression.distil.student import student_of
from agentforge.phase8_compression.distil.training import distilled
from agentforge.phase8_compression.start import Start
from agentforge.shrink.config import HealingConfig
from agentforge.train.loop import Training
from agentforge.train.parts import Part


def student(start: Start, name: str, words: Words) -> Any:
    """With these tokens."""
    told = start.config.distillation.students[name]
    return student_of(
        words.fitted(start.model), seed=start.config.seed, kind=told.kind, hidden=told.hidden, layers=told.layers,
        heads=told.heads, intermediate=told.intermediate, ternary=told.ternary,
    )  # fmt: skip


def training(
    start: Start, model: Any, words: Words, settings: HealingConfig, parts: Mapping[str, Part], *,
    number: int, name: str,
) -> Training:  # fmt: skip
    """`words`: the tokens that `model` has; its rows are written in these. `number`: of the rows."""
    config = start.config.distillation
    reading = start.having(codec=words.codec, batch=settings.batch)
    made = distilled(
        reading, model, settings, number=number, name=name, temperature=config.temperature, alpha=config.alpha,
        feature=config.feature, attention=config.attention, kept=words.kept,
    )  # fmt: skip
    made.parts = dict(sorted({**made.parts, **parts}.items()))
    return made
