"""Events about a training: at most one of each kind a second, and always the last."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from agentforge.kit.measure import Measurement

_REPORT_S = 1.0


class Listener(Protocol):
    def measure(self, measurement: Measurement) -> None: ...


class Step(NamedTuple):
    """One optimiser step. `norm`: of the gradient, before it was clipped. `rate`: AdamW's learning rate."""

    loss: float
    norm: float
    tokens: int
    rate: float


class Report:
    """`more`: what else is to be told about a step."""

    def __init__(self, name: str, more: Callable[[int], Iterable[Measurement]]) -> None:
        self.name, self.more = name, more
        self._clear()

    def _clear(self) -> None:
        self._since, self._tokens = time.monotonic(), 0
        self._losses: list[float] = []
        self._norms: list[float] = []

    def add(self, did: Step, step: int, context: Listener, *, last: bool) -> None:
        self._losses.append(did.loss)
        self._norms.append(did.norm)
        self._tokens += did.tokens
        elapsed = time.monotonic() - self._since
        if elapsed < _REPORT_S and not last:
            return
        n, span = len(self._losses), f"mean over {len(self._losses)} training steps"
        context.measure(Measurement(f"{self.name}/loss", sum(self._losses) / n, "nat", span, n, None, step))
        context.measure(Measurement(f"{self.name}/gradient_norm", sum(self._norms) / n, "1", span, n, None, step))
        method = "of AdamW, in the last training step"
        context.measure(Measurement(f"{self.name}/learning_rate", did.rate, "1", method, 1, None, step))
        speed = self._tokens / max(elapsed, 1e-9)
        method = f"real tokens of {n} training steps by wall clock, events included"
        context.measure(Measurement(f"{self.name}/tokens_per_second", speed, "token/s", method, n, None, step))
        for one in self.more(step):
            context.measure(one)
        self._clear()
