"""The ways to merge that `prices` compares, where what they should give is known."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from agentforge.models.ternary.convert import convert
from agentforge.models.ternary.linear import ternary_layers
from agentforge.phase6_baking.adapters import lora
from agentforge.phase6_baking.configs.adapters import LoraConfig
from agentforge.phase6_baking.experiments.four_ways import MERGES, merged, scale_left
from tests import pico

IDS = torch.arange(2, 14)[None]


def start() -> Any:
    model: Any = pico.llama()
    convert(model)
    return model.eval()


def adapted() -> Any:
    model = lora.attach(start(), LoraConfig(rank=2), seed=1)
    generator = torch.Generator().manual_seed(1)
    for name, tensor in model.named_parameters():
        if "lora_B" in name:
            tensor.data = torch.randn(tensor.shape, generator=generator) * 0.02
    return model


@torch.no_grad()
def says(model: Any) -> torch.Tensor:
    logits: torch.Tensor = model(input_ids=IDS).logits
    return logits


@pytest.mark.parametrize("way", ["old scales", "into latents"])
def test_nothing_merged_changes_nothing(way: str) -> None:
    base = start()
    model = merged(adapted(), MERGES[way], share=0.0)
    torch.testing.assert_close(says(model), says(base))
    assert scale_left(base, model) == 1.0


def test_rounding_anew_shrinks_scales_by_the_share_of_zeros() -> None:
    base = start()
    kept = [float(layer.codes().count_nonzero()) / layer.weight.numel() for layer in ternary_layers(base).values()]
    found = scale_left(base, merged(adapted(), MERGES["rounded anew"], share=0.0))
    assert found == pytest.approx(sum(kept) / len(kept), rel=1e-2)
    assert found < 0.75


@pytest.mark.parametrize("way", MERGES)
def test_a_merge_leaves_the_adapted_model_alone(way: str) -> None:
    model = adapted()
    before = says(model)
    whole = merged(model, MERGES[way])
    assert torch.equal(says(model), before)
    assert not lora.wrapped_layers(whole)
    assert len(ternary_layers(whole)) == len(lora.wrapped_layers(model))
    assert not torch.equal(says(whole), says(start()))
