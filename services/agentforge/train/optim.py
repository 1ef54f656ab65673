"""AdamW and Muon behind one face, whose whole state is a flat dictionary of tensors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from agentforge.kit.errors import DataLoss
from agentforge.train.config import TrainConfig
from agentforge.train.schedule import rate

_SMALLEST = 8  # a matrix with fewer rows or columns is a bundle of vectors: nothing to orthogonalise


def orthogonal(matrices_NRC: Tensor) -> Tensor:
    """Five Newton-Schulz steps towards the nearest (semi-)orthogonal matrices; coefficients of Jordan et al. 2024.

    The singular values end between about 0.7 and 1.2, which trains as well as exactly 1.
    """
    x = matrices_NRC / (matrices_NRC.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    done: Tensor = x.mT if tall else x
    return done


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised (Jordan et al. 2024). Matrices of one shape are done together."""

    def __init__(self, parameters: Iterable[Tensor], lr: float, momentum: float, weight_decay: float) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes[parameter.shape].append(parameter)
            for parameters in shapes.values():
                self._step_alike(parameters, group)

    def _step_alike(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        rows, columns = parameters[0].shape
        updates = orthogonal(torch.stack([self._with_momentum(p, group["momentum"]) for p in parameters]))
        lr = group["lr"]
        for parameter, update in zip(parameters, updates, strict=True):
            parameter.mul_(1 - lr * group["weight_decay"])
            parameter.add_(update, alpha=-lr * max(1.0, rows / columns) ** 0.5)

    def _with_momentum(self, parameter: Tensor, momentum: float) -> Tensor:
        """Nesterov: the gradient, moved towards where the average is going."""
        gradient = cast(Tensor, parameter.grad)
        average = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
        average.lerp_(gradient, 1 - momentum)
        return gradient.lerp(average, momentum)


class Optimiser:
    """The optimisers of one model: `step` sets the rate of that step and moves the weights."""

    def __init__(self, model: nn.Module, config: TrainConfig) -> None:
        self.config = config
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        matrices = _matrices(model) if config.optimiser == "muon" else frozenset[str]()
        self._parts: list[torch.optim.Optimizer] = [_adamw(model, self.parameters, matrices, config)]
        if matrices:
            chosen = [parameter for name, parameter in self.parameters.items() if name in matrices]
            self._parts.append(Muon(chosen, config.muon_lr, config.muon_momentum, config.weight_decay))
        self._highest = [[group["lr"] for group in part.param_groups] for part in self._parts]

    def step(self, step: int, share: float | None = None) -> float:
        """Move the weights by `share` of the highest learning rate, else that of the schedule; it is returned."""
        share = rate(step, self.config) if share is None else share
        for part, highest in zip(self._parts, self._highest, strict=True):
            for group, lr in zip(part.param_groups, highest, strict=True):
                group["lr"] = lr * share
            part.step()
        return share

    def gradients(self) -> dict[str, Tensor]:
        return {name: p.grad for name, p in self.parameters.items() if p.grad is not None}

    def zero(self) -> None:
        for part in self._parts:
            part.zero_grad(set_to_none=True)

    def tensors(self) -> dict[str, Tensor]:
        """Everything the next step depends on besides weights and step number, by parameter."""
        found = {}
        for part in self._parts:
            for name, parameter in self.parameters.items():
                for key, value in part.state.get(parameter, {}).items():
                    found[f"{key}:{name}"] = value
        return found

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        for part in self._parts:
            part.state.clear()
        owner = {id(p): part for part in self._parts for group in part.param_groups for p in group["params"]}
        for full_name, tensor in tensors.items():
            key, _, name = full_name.partition(":")
            if name not in self.parameters:
                message = f"the checkpoint has optimiser state for {name!r}, which this model lacks"
                step = "Resume with the model and optimiser settings of the run, or start a new run."
                raise DataLoss(message, reason="CHECKPOINT_MISMATCH", field=name, next_step=step)
            parameter = self.parameters[name]
            # AdamW keeps its step counter on the CPU, also for parameters on a GPU.
            device = "cpu" if key == "step" else parameter.device
            owner[id(parameter)].state[parameter][key] = tensor.to(device, copy=True)


def _adamw(
    model: nn.Module, parameters: Mapping[str, nn.Parameter], others: frozenset[str], config: TrainConfig
) -> torch.optim.AdamW:
    """Embeddings, other matrices, and vectors."""
    embeddings = _ids(model, "get_input_embeddings")
    own = [parameter for name, parameter in parameters.items() if name not in others]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in own if id(p) in embeddings], "lr": config.embedding_lr or config.lr},
        {"params": [p for p in own if id(p) not in embeddings and p.ndim >= 2]},
        {"params": [p for p in own if id(p) not in embeddings and p.ndim < 2], "weight_decay": 0.0},
    ]
    betas = (config.beta1, config.beta2)
    filled = [group for group in groups if group["params"]]
    return torch.optim.AdamW(filled, config.lr, betas, weight_decay=config.weight_decay, foreach=True)


def _matrices(model: nn.Module) -> frozenset[str]:
    """Names of the weights that Muon is for: matrices between hidden states, so neither embedding nor head."""
    heads = _ids(model, "get_output_embeddings")
    return frozenset(
        f"{name}.weight" if name else "weight"
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
        and module.weight.requires_grad
        and id(module.weight) not in heads
        and min(module.weight.shape) >= _SMALLEST
    )


def _ids(model: nn.Module, getter: str) -> set[int]:
    """Identities of the weights that a Hugging Face model names; none for other modules."""
    find: Any = getattr(model, getter, None)
    found = find() if find is not None else None
    return {id(parameter) for parameter in found.parameters()} if found is not None else set()
