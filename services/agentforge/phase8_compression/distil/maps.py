"""Linear maps from a student's hidden states to its teacher's. They learn beside it and are thrown away."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from agentforge.kit import ranks
from agentforge.kit.ranks import Ranks
from agentforge.train.config import TrainConfig
from agentforge.train.distribution import add_gradients
from agentforge.train.machine import device
from agentforge.train.optim import Optimiser
from agentforge.train.parts import Part
from agentforge.train.state import own_tensors, put_tensors

_MAP, _OPTIMISER = "map:", "optimiser:"


class Maps(Part):
    """One for each layer of the student. Their steps and rates are those of the training's AdamW."""

    def __init__(self, width: int, teacher_width: int, layers: int, config: TrainConfig) -> None:
        self.maps = nn.ModuleList(nn.Linear(width, teacher_width, bias=False, device="meta") for _ in range(layers))
        self.maps.to_empty(device=device())
        for each in self.maps.parameters():
            nn.init.eye_(each)  # of no die: what both have is taken over
        self.optimiser = Optimiser(self.maps, config.model_copy(update={"optimiser": "adamw"}))
        self.ranks_of: Callable[[], Ranks] = ranks.current  # the training's, once there is one

    def __call__(self, layer: int, state_XD: Tensor) -> Tensor:
        mapped: Tensor = self.maps[layer](state_XD)
        return mapped

    def before_step(self) -> None:
        add_gradients(self.optimiser.parameters.values(), self.ranks_of())

    def after_step(self, step: int, share: float) -> None:
        self.optimiser.step(step, share)
        self.optimiser.zero()

    def tensors(self) -> dict[str, Tensor]:
        own = {_MAP + name: tensor for name, tensor in own_tensors(self.maps).items()}
        return own | {_OPTIMISER + name: tensor for name, tensor in self.optimiser.tensors().items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        put_tensors(self.maps, _named(tensors, _MAP))
        self.optimiser.load(_named(tensors, _OPTIMISER))
        self.optimiser.zero()  # where a step was begun and taken back


def _named(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)}
