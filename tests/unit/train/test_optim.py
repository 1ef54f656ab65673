"""Muon's update, and which weights it is for."""

import torch
from torch import nn

from agentforge.train.config import TrainConfig
from agentforge.train.optim import Optimiser, orthogonal
from tests.unit.train.helpers import model


def test_updates_are_nearly_orthogonal_whatever_the_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    for rows, columns in ((16, 16), (48, 16), (16, 48)):
        skewed = torch.randn(3, rows, columns, generator=generator) * torch.logspace(-2, 2, columns)
        singular = torch.linalg.svdvals(orthogonal(skewed))
        assert singular.max() < 1.3
        assert singular.median() > 0.6


def test_a_stack_gives_what_each_matrix_alone_gives() -> None:
    stack = torch.randn(3, 8, 12, generator=torch.Generator().manual_seed(0))
    alone = torch.stack([orthogonal(each[None])[0] for each in stack])
    torch.testing.assert_close(orthogonal(stack), alone)


def test_muon_takes_the_matrices_between_hidden_states_and_adamw_the_rest() -> None:
    titan = model(memory=True, act=True, recursion=True, persistent_tokens=2)
    optimiser = Optimiser(titan, TrainConfig(optimiser="muon"))
    adamw, muon = optimiser._parts
    names = {id(parameter): name for name, parameter in titan.named_parameters()}
    by_muon = {names[id(p)] for group in muon.param_groups for p in group["params"]}
    by_adamw = {names[id(p)] for group in adamw.param_groups for p in group["params"]}
    assert by_muon | by_adamw == set(names.values())
    assert not by_muon & by_adamw
    assert {"layers.0.attention.qkv.weight", "layers.1.mlp.down.weight", "consolidate.weight"} <= by_muon
    assert {"embed_tokens.weight", "persistent", "start", "norm.weight", "layers.1.memory.gates.weight"} <= by_adamw


def test_adamw_is_pytorchs() -> None:
    torch.manual_seed(0)
    ours, theirs = nn.Linear(4, 3, bias=False), nn.Linear(4, 3, bias=False)
    theirs.load_state_dict(ours.state_dict())
    config = TrainConfig(optimiser="adamw", lr=0.01, weight_decay=0.1, schedule="constant", warmup=0)
    optimiser = Optimiser(ours, config)
    reference = torch.optim.AdamW(theirs.parameters(), lr=0.01, betas=(0.9, 0.95), weight_decay=0.1)
    x = torch.randn(5, 4)
    for step in range(4):
        ours(x).square().mean().backward()
        theirs(x).square().mean().backward()
        optimiser.step(step)
        reference.step()
        optimiser.zero()
        reference.zero_grad()
    torch.testing.assert_close(ours.weight, theirs.weight, rtol=0, atol=0)


def test_decay_leaves_gains_and_biases_alone() -> None:
    layer = nn.Sequential(nn.Linear(16, 16), nn.RMSNorm(16))
    for parameter in layer.parameters():
        parameter.grad = torch.zeros_like(parameter)
    before = {name: p.detach().clone() for name, p in layer.named_parameters()}
    Optimiser(layer, TrainConfig(weight_decay=1.0, warmup=0, schedule="constant")).step(0)
    for name, parameter in layer.named_parameters():
        assert torch.equal(parameter, before[name]) == (name != "0.weight")
