"""The learning rate of a step, as a share of the highest one."""

from __future__ import annotations

import math

from agentforge.train.config import TrainConfig


def rate(step: int, config: TrainConfig) -> float:
    """`step` counts from 0. The first step of a warm-up already learns, the last step of a decay still does."""
    warm = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    if config.schedule == "constant":
        return warm
    if config.schedule == "cosine":
        done = max(0, step - config.warmup) / max(1, config.steps - config.warmup)
        falling = (1 + math.cos(math.pi * done)) / 2
    else:
        falling = min(1.0, (config.steps - step) / max(1.0, config.decay * config.steps))
    return warm * (config.floor + (1 - config.floor) * falling)
