"""A Llama without some of its heads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from agentforge.kit.errors import InvalidInput
from agentforge.models.ternary.convert import convert
from agentforge.models.ternary.linear import ternary_layers
from agentforge.shrink.heads import added_norms, best_heads, weight_norms, without_heads
from tests import pico
from tests.unit.shrink.toys import codec, items

IDS = torch.arange(20)[None]
GROUPED = {"num_attention_heads": 8, "num_key_value_heads": 4, "attention_bias": True}


def llama(**fields: Any) -> LlamaForCausalLM:
    return pico.with_noise(pico.llama(**fields), 3).eval()  # biases are not 0 then


@torch.no_grad()
def silenced(model: LlamaForCausalLM, kept: dict[int, tuple[int, ...]]) -> Tensor:
    """Logits where o_proj takes nothing of the other heads."""
    size = model.config.head_dim
    for layer, heads in kept.items():
        columns = model.model.layers[layer].self_attn.o_proj.weight
        for head in set(range(model.config.num_attention_heads)) - set(heads):
            columns[:, head * size : (head + 1) * size] = 0
    return model(IDS).logits


@pytest.mark.parametrize(
    ("fields", "kept", "pairs"),
    [
        ({}, {0: (1,), 1: (0,)}, 1),
        (GROUPED, {0: (2, 3, 6, 7), 1: (0, 1, 4, 5)}, 2),  # whole key-value heads
        (GROUPED, {0: (0, 3, 4, 6), 1: (1, 2, 5, 7)}, 4),  # one of each
    ],
)
@torch.no_grad()
def test_it_is_the_model_whose_other_heads_are_silent(
    fields: Any, kept: dict[int, tuple[int, ...]], pairs: int, tmp_path: Path
) -> None:
    small = without_heads(llama(**fields), kept)
    wanted = silenced(llama(**fields), kept)
    assert (small(IDS).logits - wanted).abs().max() < 1e-6
    assert (llama(**fields)(IDS).logits - wanted).abs().max() > 1e-3
    pico.save(small, tmp_path / "small")
    back = LlamaForCausalLM.from_pretrained(tmp_path / "small").eval()
    assert torch.equal(back(IDS).logits, small(IDS).logits)
    assert back.config.num_key_value_heads == pairs
    assert small.generate(IDS[:, :4], max_new_tokens=2, do_sample=False).shape == (1, 6)


@torch.no_grad()
def test_a_number_keeps_those_that_can_add_most() -> None:
    model = llama(**GROUPED)
    for layer in model.model.layers:  # heads 0, 1 share a key-value head, and so on
        layer.self_attn.o_proj.weight[:, 8:24] *= 0.01
    assert best_heads(model, weight_norms(model), 4) == {0: (0, 1, 6, 7), 1: (0, 1, 6, 7)}
    assert best_heads(model, added_norms(model, codec(), items(), batch=4), 4)[0] == (0, 1, 6, 7)
    small = without_heads(model, 4)
    assert torch.equal(
        small.model.layers[1].self_attn.q_proj.weight[8:], model.model.layers[1].self_attn.q_proj.weight[24:]
    )


@torch.no_grad()
def test_what_a_head_adds_is_measured() -> None:
    model, heard = llama(), []
    hook = model.model.layers[1].self_attn.o_proj.register_forward_pre_hook(
        lambda _, args: heard.append(args[0][0])
    )
    for item in items():
        model(torch.tensor([codec().item_ids(item)[0]]))
    hook.remove()
    x_NI, weight = torch.cat(heard)[:, 16:], model.model.layers[1].self_attn.o_proj.weight[:, 16:]
    wanted = (x_NI @ weight.T).square().sum(-1).mean().sqrt()
    assert added_norms(model, codec(), items(), batch=4)[1][1] == pytest.approx(float(wanted), rel=1e-4)


def test_ternary_layers_stay_ternary() -> None:
    model = llama()
    convert(model)
    small = without_heads(model, 1)
    assert ternary_layers(small).keys() == ternary_layers(model).keys()
    assert small.model.layers[0].self_attn.o_proj.codes().shape == (32, 16)


@pytest.mark.parametrize(
    ("fields", "kept", "said"),
    [
        (GROUPED, {0: (0, 1, 2), 1: (0, 1, 2)}, r"layer 0 cannot keep heads \[0, 1, 2\]"),
        (GROUPED, {0: (0, 1), 1: (0, 1, 2, 3)}, "different heads"),
        (GROUPED, {0: (0, 1)}, "layer 1 cannot keep heads"),
        (GROUPED, {0: (8,), 1: (8,)}, r"\[8\]"),
        (GROUPED, 3, "3 of 8 heads"),
        (GROUPED, 6, "6 heads is not allowed"),  # 32 is no multiple of it
    ],
)
def test_what_a_config_cannot_say_is_refused(fields: Any, kept: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        without_heads(llama(**fields), kept)


def test_a_titan_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match=r"Titan's heads.*layers\.0\.attention"):
        without_heads(pico.titan(), 1)
