"""Training of ternary layers besides their straight-through gradients: latents are drawn towards their codes, and
each layer moves as fast as its codes are wanted to flip.

AdamW and Muon undo a constant factor of a layer's gradient: so it can be put on the update instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from agentforge.kit.measure import Measurement
from agentforge.models.ternary.linear import BitLinear, ternary_layers
from agentforge.models.ternary.quantise import per_weight, survivors
from agentforge.phase5_training.configs.quantised import QuantisedConfig
from agentforge.train.parts import Part


def distance(layers: Mapping[str, BitLinear]) -> Tensor:
    """Squared distance of latents to their codes, in units of the mean size of the weights that are not rounded to
    zero: mean over all weights. Codes and sizes are constants to its gradient.

    In units of absmean, which is smaller, it would shrink every layer for ever: so of these too the units are those
    of `survivors`.
    """
    total, count = torch.zeros(()), 0
    for layer in layers.values():
        mode = layer.mode
        code_OI, s = survivors(layer.weight.detach(), mode.scale, mode.group, mode.threshold)
        total = total + (layer.weight / per_weight(s, layer.in_features) - code_OI).square().sum()
        count += layer.weight.numel()
    return total / max(count, 1)


class Quantised(Part):
    """Add `loss` to the task's."""

    def __init__(self, model: nn.Module, config: QuantisedConfig) -> None:
        self.config, self.layers = config, ternary_layers(model)
        self.shares: dict[str, float] = {}  # of codes that flip in a step, by layer: an average of the last steps
        self.factors = dict.fromkeys(self.layers, 1.0)
        self.flips: dict[str, int] = {}  # in the last step
        self._codes: dict[str, Tensor] = {}
        self._before: dict[str, Tensor] = {}

    def loss(self) -> Tensor:
        """Weighed already."""
        return self.config.regulariser * distance(self.layers) if self.config.regulariser else torch.zeros(())

    @torch.no_grad()
    def before_step(self) -> None:
        """Gradients are clipped already: so the factors do not change each other."""
        if not self._counting:
            return
        if not self._codes:
            self._codes = {name: layer.codes() for name, layer in self.layers.items()}
        for name, layer in self.layers.items():
            if self.config.scaling == "gradient" and layer.weight.grad is not None:
                layer.weight.grad.mul_(self.factors[name])
            elif self.config.scaling == "update":
                self._before[name] = layer.weight.detach().clone()

    @torch.no_grad()
    def after_step(self, step: int, share: float) -> None:
        if not self._counting:
            return
        for name, before_OI in self._before.items():
            weight_OI = self.layers[name].weight
            weight_OI.copy_(before_OI.lerp(weight_OI, self.factors[name]))
        self._before = {}
        codes = {name: layer.codes() for name, layer in self.layers.items()}
        counts = torch.stack([(code_OI != self._codes[name]).sum() for name, code_OI in codes.items()])
        self.flips, self._codes = dict(zip(codes, counts.tolist(), strict=True)), codes
        for name, flips in self.flips.items():
            share = flips / codes[name].numel()
            kept = self.config.memory if name in self.shares else 0.0
            self.shares[name] = kept * self.shares.get(name, 0.0) + (1 - kept) * share
            if self.config.scaling != "none":
                self._steer(name)

    def measurements(self, step: int) -> list[Measurement]:
        if not self.flips:
            return []
        n = len(self.flips)
        count = f"codes that the last step changed, of {n} ternary layers"
        shares = f"share of codes that a step changes, average with memory {self.config.memory}, mean over layers"
        one = Measurement.of_samples("forge/quantised/flip_share", list(self.shares.values()), "1", shares)
        return [
            Measurement("forge/quantised/flips", sum(self.flips.values()), "1", count, n, None, step),
            Measurement(one.name, one.value, one.unit, one.method, one.n, one.spread, step),
        ]

    def state_dict(self) -> dict[str, Any]:
        return {"shares": dict(self.shares), "factors": dict(self.factors)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """After the model's own weights are loaded: the codes are read from them anew."""
        self.shares, self.factors = dict(state["shares"]), dict(state["factors"])
        self._codes = {}

    def _steer(self, name: str) -> None:
        """Errors add up, or it would end half-way; half as fast as the average forgets, or it would swing."""
        wanted, most = self.config.wanted, self.config.most
        error = min(max(wanted / max(self.shares[name], wanted / most), 1 / most), most)
        factor = self.factors[name] * error ** ((1 - self.config.memory) / 2)
        self.factors[name] = min(max(factor, 1 / most), most)

    @property
    def _counting(self) -> bool:
        return bool(self.layers) and (self.config.count or self.config.scaling != "none")
