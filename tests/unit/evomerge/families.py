"""Trunks and their branches, to be merged: drawn ones whose differences are known, and a small Titan's."""

import functools
import math

import torch
from torch import Tensor

from agentforge.models import TitanConfig, TitanForCausalLM
from agentforge.phase2_evomerge.operators.tensors import Tensors
from agentforge.train.state import own_tensors

SHAPES = {
    "model.embed_tokens.weight": (96, 16),
    "model.layers.0.mlp.weight": (48, 16),
    "model.layers.0.norm.weight": (16,),
    "model.layers.1.mlp.weight": (16, 48),
    "model.layers.1.mlp.bias": (16,),
    "model.norm.weight": (16,),
    "model.scale": (2,),
}
Family = tuple[dict[str, Tensor], list[dict[str, Tensor]]]


def drawn_family(size: float, correlation: float, parents: int = 3, seed: int = 1) -> Family:
    """Each tensor of each parent is `size` of its trunk's norm away from it; the trunk's bias is zero, theirs are
    not. Buffers differ from parent to parent."""
    generator = torch.Generator().manual_seed(seed)

    def draw(name: str) -> Tensor:
        return torch.randn(SHAPES[name], generator=generator)

    trunk = {name: draw(name) * 0.1 for name in SHAPES}
    trunk["model.norm.weight"], trunk["model.scale"] = torch.ones(16), torch.ones(2)
    trunk["model.layers.1.mlp.bias"] = torch.zeros(16)
    common = {name: draw(name) for name in SHAPES}
    branches = []
    for number in range(parents):
        branch = {}
        for name, start in trunk.items():
            step = math.sqrt(correlation) * common[name] + math.sqrt(1 - correlation) * draw(name)
            length = float(start.norm()) or 0.3
            branch[name] = start + step / step.norm() * length * size
        branches.append(branch | _buffers(number))
    return trunk | _buffers(9), branches


def _buffers(number: int) -> dict[str, Tensor]:
    return {"model.steps": torch.tensor([number, 2**40]), "model.mask": torch.tensor([number == 0, True])}


def titan(seed: int = 0) -> TitanForCausalLM:
    torch.manual_seed(seed)
    return TitanForCausalLM(
        TitanConfig.preset(
            "tiny",
            vocab_size=64,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
        )
    )


def rows(seed: int, count: int = 2) -> Tensor:
    return torch.randint(0, 64, (count, 16), generator=torch.Generator().manual_seed(seed))


def titan_loss(model: TitanForCausalLM, ids_BT: Tensor) -> Tensor:
    loss = model(input_ids=ids_BT, labels=ids_BT).loss
    assert isinstance(loss, Tensor)
    return loss


@functools.cache
def _titan_family(steps: int, rate: float) -> Family:
    trunk = own_tensors(titan())
    branches = []
    for branch in range(3):
        model = titan()
        optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
        for _ in range(steps):
            optimiser.zero_grad()
            titan_loss(model, rows(branch)).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        branches.append(own_tensors(model))
    return trunk, branches


def titan_family(steps: int = 6, rate: float = 0.02) -> Family:
    trunk, branches = _titan_family(steps, rate)
    return dict(trunk), [dict(branch) for branch in branches]


def vector_of(tensors: Tensors) -> Tensor:
    """All weights as one vector, float64."""
    return torch.cat([t.reshape(-1).double() for _, t in sorted(tensors.items()) if t.is_floating_point()])


def ones_like(tensors: Tensors) -> dict[str, Tensor]:
    return {name: torch.ones_like(tensor) for name, tensor in tensors.items()}
