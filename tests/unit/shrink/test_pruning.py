"""Each way of pruning against its definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from agentforge.data.rows import IGNORED
from agentforge.kit.errors import InvalidInput
from agentforge.models.ternary.convert import convert
from agentforge.shrink.grams import grams
from agentforge.shrink.masks import two_of_four
from agentforge.shrink.pruning import WAYS, prune
from agentforge.shrink.pruning.scores import wanda
from agentforge.shrink.pruning.shares import kept_of_matrix, kept_of_rows
from agentforge.shrink.pruning.sparsegpt import sparsegpt
from tests import pico
from tests.unit.shrink.toys import codec, correlated, gauss, items, output_lost

NAME = "model.layers.1.mlp.down_proj.weight"
GRAM, W = correlated(192), torch.from_numpy(gauss(48, 192))


def lost(left_OI: Tensor) -> float:
    return output_lost(left_OI.numpy(), W.numpy(), GRAM)


def pruned(way: str, share: str, model: Any = None) -> tuple[Any, dict[str, Tensor]]:
    model = pico.llama() if model is None else model
    return model, prune(model, way, share, codec=codec(), items=items(), batch=5)


@pytest.mark.parametrize("share", ["0.2", "0.5", "0.9", "2:4"])
@pytest.mark.parametrize("way", WAYS)
def test_the_share_is_zero_and_the_rest_is_not(way: str, share: str) -> None:
    model, masks = pruned(way, share)
    assert len(masks) == 2 * 7
    for name, kept in masks.items():
        weight = model.get_parameter(name)
        assert torch.equal(weight != 0, kept)
        wanted = 0.5 if share == "2:4" else float(share)
        assert 1 - float(kept.float().mean()) == pytest.approx(wanted, abs=0.5 / min(weight.shape))
        if share == "2:4":
            assert (kept.reshape(-1, 4).sum(-1) == 2).all()


@pytest.mark.parametrize("way", ["magnitude", "wanda", "gradient"])
def test_what_is_kept_keeps_its_value(way: str) -> None:
    model, masks = pruned(way, "0.5")
    assert torch.equal(model.get_parameter(NAME), pico.llama().get_parameter(NAME) * masks[NAME])


def test_wanda_is_its_definition() -> None:
    _, masks = pruned("wanda", "0.25")
    weight = pico.llama().get_parameter(NAME).detach().numpy()
    gram = grams(pico.llama(), codec(), items(), [NAME], batch=3)[NAME]
    score = np.abs(weight) * np.sqrt(np.diagonal(gram))
    for row, kept in zip(score, masks[NAME].numpy(), strict=True):
        assert row[kept].min() >= row[~kept].max()
        assert kept.sum() == 48


def test_gradients_are_of_single_items() -> None:
    model, masks = pruned("gradient", "0.5")
    model, sizes = pico.llama().eval(), torch.zeros(32, 64)
    for item in items():
        ids, learned = codec().item_ids(item)
        labels = torch.tensor([ids]).masked_fill(~torch.tensor([learned]), IGNORED)
        model.zero_grad()
        (model(input_ids=torch.tensor([ids]), labels=labels).loss * sum(learned)).backward()
        weight = model.get_parameter(NAME)
        sizes += (weight * weight.grad).abs().detach()
    assert sizes[masks[NAME]].min() >= sizes[~masks[NAME]].max() * (1 - 1e-5)


@pytest.mark.parametrize("share", ["0.5", "2:4"])
def test_sparsegpt_loses_less_of_the_output(share: str) -> None:
    magnitude, by_wanda = W * kept_of_matrix(W.abs(), share), W * kept_of_rows(wanda(W, GRAM), share)
    left, kept = sparsegpt(W, GRAM, share)
    assert torch.equal(left != 0, kept)
    assert lost(left) < 0.5 * min(lost(magnitude), lost(by_wanda))
    assert lost(left) < 0.5 * lost(W * kept)  # of the same mask, without the updates


def test_sparsegpt_moves_weights_as_an_exact_surgeon() -> None:
    """By its definition: a new inverse after every column; what was settled before stays."""
    gram, w = GRAM[:8, :8], W[:6, :8].double().numpy()
    left, kept = sparsegpt(W[:6, :8], gram, "0.5")
    damped = gram + 0.01 * np.diagonal(gram).mean() * np.eye(8)
    for j in range(8):
        inverse = np.linalg.inv(damped[j:, j:])
        error = np.where(kept[:, j].numpy(), 0, w[:, j])
        w[:, j:] -= np.outer(error / inverse[0, 0], inverse[0])
    np.testing.assert_allclose(left.numpy(), w, atol=1e-6)


def test_two_of_four_are_the_largest() -> None:
    _, masks = pruned("magnitude", "2:4")
    assert torch.equal(masks[NAME], two_of_four(pico.llama().get_parameter(NAME).abs()))


def test_a_titan_is_pruned_too() -> None:
    titan = pico.titan(memory=True, memory_layers=[0], memory_chunk=8, memory_slots=32, persistent_tokens=2)
    model, masks = pruned("sparsegpt", "0.5", titan)
    assert {name.rpartition(".weight")[0].removeprefix("layers.0.") for name in masks} == {
        "attention.qkv", "attention.o", "mlp.gate", "mlp.up", "mlp.down", "memory.q", "memory.kv", "memory.o",
    }  # fmt: skip
    assert all(torch.equal(model.get_parameter(name) != 0, kept) for name, kept in masks.items())


@pytest.mark.parametrize(
    ("way", "share", "said"),
    [("random", "0.5", "random"), ("wanda", "1.5", "1.5"), ("wanda", "4:8", "4:8"), ("gradient", "0.5", "ternary")],
)
def test_what_cannot_be_is_refused_and_nothing_changes(way: str, share: str, said: str) -> None:
    model = pico.llama()
    convert(model)
    with pytest.raises(InvalidInput, match=said):
        pruned(way, share, model)
    assert torch.equal(model.get_parameter(NAME), pico.llama().get_parameter(NAME))


def test_widths_that_are_no_fours_are_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match=r"model.layers.0.mlp.down_proj.weight has 62 inputs"):
        pruned("magnitude", "2:4", pico.llama(intermediate_size=62))
