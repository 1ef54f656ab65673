"""Self-modelling (Premakumar et al. 2024, 2407.10188): linear heads predict the model's own hidden states.

In the paper a state also learns to be predictable, which makes networks simpler: so targets are not detached,
unless asked. Its loss is raw; here each state's error is divided by its size, taken as a constant: layers weigh
alike, and the gradient points where the paper's does (smaller states have smaller errors).

Shapes: N real tokens, D hidden size.
"""

from __future__ import annotations

import bisect
import functools
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.data.rows import IGNORED
from agentforge.kit import ranks
from agentforge.kit.errors import InvalidInput
from agentforge.kit.measure import Measurement
from agentforge.phase5_training.configs.selfmodel import SelfModelConfig
from agentforge.train.config import TrainConfig
from agentforge.train.distribution import add_gradients
from agentforge.train.evaluate import alike, padded
from agentforge.train.machine import device
from agentforge.train.optim import Optimiser
from agentforge.train.parts import Part
from agentforge.train.state import own_tensors, put_tensors

_LEAST = 1e-12  # mean square of a state: below it there is nothing to predict


def layers_of(model: nn.Module) -> nn.ModuleList:
    """A Titan's unique layers, which it applies several times, or a Llama-like model's."""
    named = [module for name, module in model.named_modules() if name.rpartition(".")[2] == "layers"]
    found = [module for module in named if isinstance(module, nn.ModuleList)]
    if len(found) != 1:
        message = f"a {type(model).__name__} has {len(found)} lists of layers"
        raise InvalidInput(message, reason="NO_LAYERS", field="model", next_step="Take a causal language model.")
    return found[0]


def tapped(depths: Sequence[float], layers: int) -> list[int]:
    """Layers by number, from 0, each once; never the last: its state is what others are predicted from."""
    if layers < 2:
        step = "Switch self-modelling off (selfmodel.weight 0), or take a deeper model."
        message = "a model of one layer has no state to predict from a later one"
        raise InvalidInput(message, reason="TOO_SHALLOW", field="selfmodel.depths", next_step=step)
    return sorted({min(max(round(depth * layers), 1), layers - 1) - 1 for depth in depths})


class Ears:
    """What layers put out when they were last applied: in a Titan, in its last pass."""

    def __init__(self, layers: nn.ModuleList, numbers: Sequence[int], *, learning: bool) -> None:
        """`learning`: deaf where no gradients are taken, as in evaluations and answers amid a training."""
        self.states: dict[int, Tensor] = {}
        self._learning = learning
        self._hooks = [layers[each].register_forward_hook(functools.partial(self._hear, each)) for each in numbers]

    def _hear(self, number: int, _layer: nn.Module, _args: tuple[Any, ...], out: Any) -> None:
        if torch.is_grad_enabled() or not self._learning:
            self.states[number] = out[0] if isinstance(out, tuple) else out

    def close(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self.states = {}


class SelfModel(Part):
    """Add `loss` to the task's, after the model's forward.

    Its heads are trained by themselves (AdamW, at the loop's rate), so that neither the clipping of the model's
    gradient nor what is saved with the model knows of them. They begin at zero: then the error is 1.
    """

    def __init__(self, model: nn.Module, config: SelfModelConfig, train: TrainConfig) -> None:
        self.config = config
        self.heads = nn.ModuleDict()
        self.errors: dict[int, Tensor] = {}  # by tapped layer, of the last loss: 1 is no better than silence
        self._sources: dict[int, int] = {}
        if not config.weight:
            return
        layers = layers_of(model)
        taps = tapped(config.depths, len(layers))
        later = [*taps[1:], len(layers) - 1] if config.predicted_from == "next" else [len(layers) - 1] * len(taps)
        self._sources = dict(zip(taps, later, strict=True))
        self._ears = Ears(layers, sorted({*taps, *later}), learning=True)
        size = _hidden_size(model)
        for tap in taps:  # "meta" draws nothing: the run's dice stay as they are
            self.heads[str(tap)] = nn.Linear(size, size, device="meta")
        self.heads.to_empty(device=device())
        with torch.no_grad():
            for parameter in self.heads.parameters():
                parameter.zero_()
        settings = {"optimiser": "adamw", "weight_decay": 0.0}
        self._optimiser = Optimiser(self.heads, train.model_copy(update=settings))

    @property
    def taps(self) -> list[int]:
        return list(self._sources)

    def loss(self, mask_BT: Tensor) -> Tensor:
        """Weighed already. Of the forward just done, whose rows are padded on the right, as the loader's are."""
        if not self._sources:
            return torch.zeros((), device=mask_BT.device)
        states, self._ears.states = self._ears.states, {}
        real_BT = mask_BT.bool()
        errors = {}
        for tap, source in self._sources.items():
            target_ND, source_ND = states[tap][real_BT].float(), states[source][real_BT]
            target_ND = target_ND.detach() if self.config.detach else target_ND
            guess_ND = self.heads[str(tap)](F.rms_norm(source_ND, source_ND.shape[-1:]))
            errors[tap] = relative_error(guess_ND.float(), target_ND)
        self.errors = {tap: error.detach() for tap, error in errors.items()}
        return self.config.weight * torch.stack(list(errors.values())).mean()

    def after_step(self, step: int, share: float) -> None:
        if self._sources:
            add_gradients(self.heads.parameters(), ranks.current())
            self._optimiser.step(step, share)
            self._optimiser.zero()

    def measurements(self, step: int) -> list[Measurement]:
        method = "squared error over the state's mean square, real tokens of one training batch, layers from 1"
        return [
            Measurement(f"forge/self_model_loss/{tap + 1}", error.item(), "1", method, 1, None, step)
            for tap, error in self.errors.items()
        ]

    def close(self) -> None:
        """The model is as it was. To be called before it is copied, since a copy would take the hooks along."""
        if self._sources:
            self._ears.close()

    def tensors(self) -> dict[str, Tensor]:
        if not self._sources:
            return {}
        heads = {f"heads:{name}": tensor for name, tensor in own_tensors(self.heads).items()}
        return heads | {f"optimiser:{name}": tensor for name, tensor in self._optimiser.tensors().items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        if self._sources:
            put_tensors(self.heads, _below("heads:", tensors))
            self._optimiser.load(_below("optimiser:", tensors))


def relative_error(guess_ND: Tensor, target_ND: Tensor) -> Tensor:
    """Mean square, over that of the target. The guess is in units of the target's root mean square: so one learning
    rate serves states of any size."""
    size = target_ND.detach().square().mean().clamp_min(_LEAST).sqrt()
    return F.mse_loss(guess_ND, target_ND / size)


def weight_spread(model: nn.Module) -> dict[str, float]:
    """Standard deviation of each matrix; the paper's first measure of how complex a network is."""
    return {name: p.detach().float().std().item() for name, p in model.named_parameters() if p.ndim >= 2}


def participation_ratio(states_ND: Tensor) -> float:
    """How many directions the states vary in: from 0, where they do not, to D, where in all alike."""
    power_D = _singular(states_ND).square()
    return float(power_D.sum() ** 2 / power_D.square().sum()) if bool(power_D.any()) else 0.0


def effective_rank(states_ND: Tensor) -> float:
    """exp of the entropy of the singular values (Roy and Vetterli 2007), about the mean; 0 where all is alike."""
    size_D = _singular(states_ND)
    if not bool(size_D.any()):
        return 0.0
    return float(torch.special.entr(size_D / size_D.sum()).sum().exp())


@torch.no_grad()
def complexity(
    model: nn.Module, codec: Codec, items: Sequence[Item], depths: Sequence[float], *, prefix: str, batch: int = 256
) -> list[Measurement]:
    """Spread of the weights, and of the hidden states at the tapped layers on held-out items."""
    spreads = list(weight_spread(model).values())
    method = "standard deviation of each matrix, mean over matrices"
    found = [Measurement.of_samples(f"{prefix}/weight_spread", spreads, "1", method)]
    layers = layers_of(model)
    ears = Ears(layers, taps := tapped(depths, len(layers)), learning=False)
    states: dict[int, list[Tensor]] = {tap: [] for tap in taps}
    rows = [codec.item_ids(item)[0] for item in items]
    try:
        for places in alike([len(row) for row in rows], batch):
            ids_BT, mask_BT = padded([rows[place] for place in places], codec.pad, _device(model))
            model(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False)
            for tap in taps:
                states[tap].append(ears.states[tap][mask_BT.bool()].float().cpu())
    finally:
        ears.close()
    for tap, parts in states.items():
        heard_ND = torch.cat(parts)
        for name, measure in (("participation_ratio", participation_ratio), ("effective_rank", effective_rank)):
            method = f"{name.replace('_', ' ')} of {len(heard_ND):,} tokens' states after layer {tap + 1}"
            found.append(Measurement(f"{prefix}/{name}/{tap + 1}", measure(heard_ND), "1", method, len(items)))
    return found


def calibration_error(probabilities: Sequence[float], right: Sequence[bool], bins: int = 10) -> float:
    """Expected calibration error (Guo 2017): |right - sure|, of even bins ]low, high], weighed by their counts."""
    edges = [edge / bins for edge in range(1, bins)]
    groups: dict[int, list[tuple[float, bool]]] = {}
    for probability, was_right in zip(probabilities, right, strict=True):
        groups.setdefault(bisect.bisect_left(edges, probability), []).append((probability, was_right))
    gaps = [abs(sum(sure for sure, _ in each) - sum(was for _, was in each)) for each in groups.values()]
    return sum(gaps) / len(probabilities)


@torch.no_grad()
def predictions(
    model: nn.Module, codec: Codec, items: Sequence[Item], *, batch: int = 256
) -> tuple[list[float], list[bool]]:
    """Of each token that the model is to say, all before it given: how sure is its guess, and is it right."""
    encoded = [codec.item_ids(item) for item in items]
    sure: list[float] = []
    right: list[bool] = []
    for places in alike([len(ids) for ids, _ in encoded], batch):
        ids_BT, mask_BT = padded([encoded[place][0] for place in places], codec.pad, _device(model))
        learned = [[token if said else IGNORED for token, said in zip(*encoded[p], strict=True)] for p in places]
        target_BT = padded(learned, IGNORED, _device(model))[0][:, 1:]
        logits_BTV = model(input_ids=ids_BT, attention_mask=mask_BT).logits[:, :-1]
        said_BT = target_BT != IGNORED
        top = logits_BTV[said_BT].double().softmax(-1).max(-1)
        sure += top.values.tolist()
        right += (top.indices == target_BT[said_BT]).tolist()
    return sure, right


def calibration(model: nn.Module, codec: Codec, items: Sequence[Item], *, name: str) -> Measurement:
    sure, right = predictions(model, codec, items)
    share = statistics.fmean(right)
    method = f"expected calibration error, 10 bins, of {len(sure):,} answer tokens, {share:.1%} of them right"
    return Measurement(name, calibration_error(sure, right), "1", method, len(items))


def _singular(states_ND: Tensor) -> Tensor:
    states_ND = states_ND.detach().double()
    size_D: Tensor = torch.linalg.svdvals(states_ND - states_ND.mean(0))
    return size_D


def _hidden_size(model: Any) -> int:
    size: int = model.get_input_embeddings().weight.shape[1]
    return size


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)}


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
