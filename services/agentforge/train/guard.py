"""Losses that are no numbers, or far above the last ones: what to do is the loop's to say."""

from __future__ import annotations

import math
from statistics import median

from agentforge.train.config import RewindConfig


class Spoiled(Exception):
    """A step that must not move the weights. `what`: loss, or norm of the gradient."""

    def __init__(self, what: str, value: float, usual: float | None = None) -> None:
        self.what, self.value, self.usual = what, value, usual
        least = "" if usual is None else f", far above the usual {usual:.4g}"
        super().__init__(f"the {what} is {value:.6g}{least}")


class Guard:
    """Remembers the last losses. A dream or a harder task lifts the loss too: so the bar is in nats, and high."""

    def __init__(self, config: RewindConfig) -> None:
        self.config = config
        self.recent: list[float] = []

    def check_finite(self, value: float, what: str) -> None:
        if not math.isfinite(value):
            raise Spoiled(what, value)

    def check_loss(self, loss: float) -> None:
        """Of a step whose weights are not moved yet; kept where nothing is wrong with it."""
        self.check_finite(loss, "loss")
        if not self.config.most:
            return
        if len(self.recent) == self.config.window:
            usual = median(self.recent)
            if loss - usual > self.config.spike:
                raise Spoiled("loss", loss, usual)
        self.recent = [*self.recent, loss][-self.config.window :]
