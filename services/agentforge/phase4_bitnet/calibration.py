"""Which layers become ternary, and by which thresholds: decided by what comes out of each, layer by layer."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.kit.errors import FailedPrecondition
from agentforge.kit.measure import Measurement
from agentforge.models.ternary.convert import convert, projections
from agentforge.models.ternary.linear import BitLinear, Mode, rms
from agentforge.models.ternary.quantise import ternary_already
from agentforge.phase4_bitnet.activations import Seen, activations
from agentforge.phase4_bitnet.config import CalibrationConfig, TernaryConfig
from agentforge.train.evaluate import answer_nats

THRESHOLDS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)  # of the mean size; normal weights' best is 0.76


@dataclass(frozen=True)
class Layer:
    """`error`: squared error of what comes out of it, over the squares of what comes out of the plain layer."""

    name: str
    mode: Mode
    ternary: bool  # False: it stays as it is
    was_ternary: bool  # its weights were when they came
    error: float
    error_uncalibrated: float  # at threshold 0.5 and absmean
    zeros: float  # share of its codes that are 0
    tokens: int
    tokens_tried: int
    absmax: float
    rms: float
    lost: float
    sensitivity: float | None = None  # nats by which the loss rises when it alone is ternary
    sensitivity_tokens: int = 0

    @property
    def record(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def measured(self) -> list[Measurement]:
        """What is to be compared between layers; the table in training.json has the rest."""
        name, tried = f"bitnet/layer/{self.name}", f"{self.tokens_tried:,} tokens of the calibration split"
        how = f"squared error of its output over that output's squares, {tried}"
        found = [Measurement(f"{name}/output_error", self.error, "1", how, self.tokens_tried)]
        if self.sensitivity is not None:
            n = self.sensitivity_tokens
            how = f"rise of the loss of {n:,} answer tokens of the calibration split where it alone is ternary"
            found.append(Measurement(f"{name}/sensitivity", self.sensitivity, "nat", how, n))
        return found


def base_mode(config: TernaryConfig) -> Mode:
    return Mode(config.scale, config.group, norm=config.norm)


def candidates(base: Mode) -> list[Mode]:
    """The paper's first: it stays where nothing is better."""
    fits = ("absmean", "survivors")
    tried = [replace(base, threshold=threshold, fit=fit) for fit in fits for threshold in THRESHOLDS]  # type: ignore[arg-type]
    return [base, *(mode for mode in tried if mode != base)]


@torch.no_grad()
def output_error(plain: nn.Linear, mode: Mode, x_NI: Tensor) -> float:
    """0: the same comes out; 1: as far off as if nothing did. Both after the norm, where there is one."""
    layer = BitLinear(plain, mode)
    wanted_NO = F.linear(rms(x_NI) if mode.norm else x_NI, plain.weight.float()).double()
    bias = 0.0 if plain.bias is None else plain.bias.float()
    off = (layer(x_NI) - bias).double() - wanted_NO
    return float(off.square().sum() / wanted_NO.square().sum().clamp_min(1e-300))


def calibrated(plain: nn.Linear, seen: Seen, base: Mode, config: CalibrationConfig) -> Layer:
    x_NI = seen.x_NI
    already = ternary_already(plain.weight, base.group)
    uncalibrated = output_error(plain, base, x_NI)
    mode, error = base, uncalibrated
    if already is not None:
        mode = replace(base, scale=already[0], group=already[1], fit="survivors")
        error = output_error(plain, mode, x_NI)
    elif config.thresholds:
        tried = [(output_error(plain, each, x_NI), number) for number, each in enumerate(candidates(base))]
        error, number = min(tried)
        mode = candidates(base)[number]
    zeros = float((BitLinear(plain, mode).codes() == 0).double().mean())
    ternary = config.high_precision == "none" or error <= config.bound
    return Layer(
        seen.name, mode, ternary, already is not None, error, uncalibrated, zeros,
        seen.tokens, len(x_NI), seen.absmax, seen.rms, seen.lost,
    )  # fmt: skip


def calibrate(
    model: Any, codec: Codec, items: Sequence[Item], ternary: TernaryConfig, config: CalibrationConfig
) -> list[Layer]:
    names = projections(model)
    if not names:
        message = f"no layer to make ternary was found in a {type(model).__name__}"
        raise FailedPrecondition(message, reason="NO_LAYERS", field="model", next_step="Give a Titan or a Llama.")
    seen = activations(model, codec, items, names, config.batch)
    base = base_mode(ternary)
    found = [calibrated(model.get_submodule(each.name), each, base, config) for each in seen]
    if not any(layer.ternary for layer in found):
        least = min(layer.error for layer in found)
        message = f"no layer's output error is within {config.bound:g}: the least is {least:.3g}"
        step = f"Raise calibration.bound above {least:.3g}, or take a finer scale."
        raise FailedPrecondition(message, reason="ALL_HIGH_PRECISION", field="calibration.bound", next_step=step)
    return found


def modes_of(layers: Sequence[Layer]) -> dict[str, Mode]:
    return {layer.name: layer.mode for layer in layers if layer.ternary}


def sensitivities(
    model: Any, codec: Codec, items: Sequence[Item], layers: Sequence[Layer], batch: int
) -> list[Layer]:
    """Each layer alone ternary, also those that stay plain."""
    own = copy.deepcopy(model)
    before, count = answer_nats(own, codec, items, batch=batch)
    found = []
    for layer in layers:
        plain = own.get_submodule(layer.name)
        convert(own, [layer.name], layer.mode)
        after, _ = answer_nats(own, codec, items, batch=batch)
        own.set_submodule(layer.name, plain)
        found.append(replace(layer, sensitivity=(after - before) / count, sensitivity_tokens=count))
    return found
