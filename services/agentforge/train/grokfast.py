"""Grokfast (Lee, Kang, Kim, Lee 2024): amplify the slow part of the gradient.

gradient + lamb * low-pass(gradient), exactly as in the paper's algorithms 1 and 2. The form gradient + lamb *
(gradient - ema), seen in the wild, is a high-pass filter, the opposite. docs/EVIDENCE.md has what either gains.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from agentforge.train.config import GrokfastConfig


class Grokfast:
    """Call it between backward and clipping. Its memory is `tensors()`, which a checkpoint carries."""

    def __init__(self, config: GrokfastConfig) -> None:
        self.config = config
        self._slow: dict[str, Tensor] = {}  # ema: the average so far
        self._past: list[dict[str, Tensor]] = []  # ma: the last gradients, oldest first

    @torch.no_grad()
    def __call__(self, gradients: Mapping[str, Tensor], weight: float = 1.0) -> None:
        """Change the gradients in place. `weight`: times lamb; at 0 only the memory goes on."""
        if self.config.filter == "ema":
            self._ema(gradients, self.config.lamb * weight)
        elif self.config.filter == "ma":
            self._ma(gradients, self.config.lamb * weight)

    def _ema(self, gradients: Mapping[str, Tensor], lamb: float) -> None:
        """The average begins at the first gradient, not at zero."""
        for name, gradient in gradients.items():
            slow = self._slow.setdefault(name, gradient.clone())
            slow.lerp_(gradient, 1 - self.config.alpha)
            gradient.add_(slow, alpha=lamb)

    def _ma(self, gradients: Mapping[str, Tensor], lamb: float) -> None:
        """Nothing is added before the window is full. The mean is taken anew: a running sum would drift."""
        self._past = [*self._past, {name: gradient.clone() for name, gradient in gradients.items()}]
        self._past = self._past[-self.config.window :]
        if len(self._past) < self.config.window:
            return
        for name, gradient in gradients.items():
            mean = torch.stack([past[name] for past in self._past if name in past]).mean(0)
            gradient.add_(mean, alpha=lamb)

    def tensors(self) -> dict[str, Tensor]:
        past = {f"past.{age}.{name}": g for age, each in enumerate(self._past) for name, g in each.items()}
        return past | {f"slow.{name}": tensor for name, tensor in self._slow.items()}

    def load(self, tensors: Mapping[str, Tensor], device: torch.device | str = "cpu") -> None:
        slow = {name: tensor for name, tensor in tensors.items() if name.startswith("slow.")}
        self._slow = {name.removeprefix("slow."): tensor.to(device, copy=True) for name, tensor in slow.items()}
        past: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("past."):
                _, age, parameter = name.split(".", 2)
                past.setdefault(int(age), {})[parameter] = tensor.to(device, copy=True)
        self._past = [past[age] for age in sorted(past)]
