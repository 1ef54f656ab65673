"""How often Titan thinks, and which of its answers counts: recursion and adaptive computation.

Shapes: B rows, T new tokens, D hidden size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .maths import rms, sigmoid, silu
from .weights import Weights


class Steps:
    def __init__(self, weights: Weights, config: dict[str, Any]) -> None:
        size, trained = config["hidden_size"], config["act_steps_train"]
        self.act, self.recursion, self.threshold = config["act"], config["recursion"], config["act_threshold"]
        self.cycles, self.inner = config["recursion_cycles"], config["recursion_inner"]
        self.scales = [np.float32(1)]
        if self.act:
            self.scales = list(weights.tensor("step_scale", trained)[: config["act_steps_infer"]])
        if self.recursion:
            self.start_KD = weights.tensor("start", 2, size)
            self.consolidate = weights.linear("consolidate", size, size, bias=True)
        self.halting = Halting(weights, config) if self.act and trained > 1 else None
        self.passes = len(self.scales) * (self.cycles * self.inner if self.recursion else 1)

    def think(self, x_BTD: np.ndarray, run: Callable[[np.ndarray, int], np.ndarray]) -> list[np.ndarray]:
        """The answer's state after each step. `run`: through the layers, the how manieth time."""
        if not self.act and not self.recursion:
            return [run(x_BTD, 0)]
        states, done = [], 0
        y, z = self.start_KD if self.recursion else (np.zeros_like(x_BTD), x_BTD)
        for scale in self.scales:
            if self.recursion:
                for _ in range(self.cycles):
                    for _ in range(self.inner):
                        z, done = rms(run(x_BTD + y + z, done)), done + 1
                    y = y + scale * self.consolidate(z)
            else:
                y, done = y + scale * rms(run(x_BTD + y, done)), done + 1
            states.append(y)
        return states

    def halt(self, states: Sequence[np.ndarray], normed: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Graves' mean of the steps' answers [B, D], normed, weighed by when each row halts."""
        if self.halting is None or len(states) == 1:
            return normed(states[-1])
        before_B = np.zeros(len(states[0]), np.float32)
        goes_on_B = np.ones(len(states[0]), bool)
        mean_BD = np.zeros_like(states[0])
        for step, state_BD in enumerate(states):
            share_B = 1 - before_B
            if step < len(states) - 1:
                halt_B = self.halting(normed(state_BD), step)
                before_B = before_B + halt_B
                share_B = np.where(before_B < self.threshold, halt_B, share_B)
            mean_BD = mean_BD + np.where(goes_on_B, share_B, np.float32(0))[:, None] * state_BD
            goes_on_B &= before_B < self.threshold
        return normed(mean_BD)


class Halting:
    def __init__(self, weights: Weights, config: dict[str, Any]) -> None:
        size, rank, steps = config["hidden_size"], config["act_rank"], config["act_steps_train"] - 1
        self.features = weights.linear("halting.features", 2 * rank, size)
        self.direct = weights.linear("halting.direct", 1, size)
        self.bias = weights.tensor("halting.direct.bias", 1)
        self.gain = weights.tensor("halting.gain", 2)
        self.step_gain = weights.tensor("halting.step_gain", steps)
        self.step_bias = weights.tensor("halting.step_bias", steps)

    def __call__(self, h_BD: np.ndarray, step: int) -> np.ndarray:
        gate, value = np.split(self.features(h_BD), 2, -1)
        quadratic_B = (silu(gate) * value).mean(-1)
        evidence_B = self.gain[0] * quadratic_B + self.gain[1] * self.direct(h_BD)[..., 0]
        return sigmoid(self.step_gain[step] * evidence_B + self.step_bias[step] + self.bias)
