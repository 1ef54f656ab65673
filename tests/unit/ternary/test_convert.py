"""Which layers become ternary, what is refused, and that nothing is quantised twice."""

import copy
from typing import Any

import pytest
import torch

from agentforge.kit.errors import InvalidInput
from agentforge.models import TitanConfig, TitanForCausalLM
from agentforge.models.ternary.convert import convert, projections
from agentforge.models.ternary.linear import BitLinear, Mode, set_strength, ternary_layers
from agentforge.models.ternary.quantise import per_weight
from tests import pico

from .conftest import logits


def test_titan_keeps_its_heads_gates_and_embeddings() -> None:
    with torch.device("meta"):
        full = TitanForCausalLM(TitanConfig())
    chosen = projections(full)
    kinds = {name.split(".", 2)[2] for name in chosen}
    attention, mlp = {"attention.qkv", "attention.o"}, {"mlp.gate", "mlp.up", "mlp.down"}
    assert kinds == attention | mlp | {"memory.q", "memory.kv", "memory.o"}
    assert sum(full.get_submodule(name).weight.numel() for name in chosen) == 17_584_128


def test_llama_by_the_usual_names() -> None:
    assert {name.rpartition(".")[2] for name in projections(pico.llama())} == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    }  # fmt: skip


def test_it_is_the_same_model_at_strength_zero_with_the_same_tensors(model: Any) -> None:
    plain = copy.deepcopy(model)
    parameters = dict(model.named_parameters())
    names = convert(model, mode=Mode(strength=0.0))
    assert names == list(ternary_layers(model)) == projections(plain)
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert all(each is parameters[name] for name, each in model.named_parameters())
    assert torch.equal(logits(model), logits(plain))
    set_strength(model, 1.0)
    assert (logits(model) - logits(plain)).abs().max() > 0.01


def test_chosen_by_name_or_by_predicate() -> None:
    llama = pico.llama()
    assert convert(llama, ["model.layers.0.mlp.up_proj"]) == ["model.layers.0.mlp.up_proj"]
    named = convert(llama, lambda name, layer: layer.in_features == 64)
    assert named == [f"model.layers.{layer}.mlp.down_proj" for layer in (0, 1)]


def test_what_is_ternary_stays_as_it_is() -> None:
    llama = pico.llama()
    convert(llama, ["model.layers.0.mlp.up_proj"], Mode(threshold=0.7))
    others = convert(llama)
    assert "model.layers.0.mlp.up_proj" not in others
    assert llama.get_submodule("model.layers.0.mlp.up_proj").mode.threshold == 0.7
    assert convert(llama) == []


@pytest.mark.parametrize("size", [1.0, 0.7])  # of what the quantiser finds: 0.7 of it is no float16
@pytest.mark.parametrize("mode", [Mode(), Mode("channel"), Mode("group", 16)], ids=str)
def test_ternary_weights_in_a_plain_model_are_not_quantised_twice(mode: Mode, size: float) -> None:
    plain, trained = pico.llama(), pico.llama()
    convert(trained, mode=mode)
    weights = {}
    for name, layer in ternary_layers(trained).items():
        weights[name] = layer.codes() * per_weight(layer.scales() * size, layer.in_features)
        with torch.no_grad():
            plain.get_submodule(name).weight.copy_(weights[name])
    convert(plain, mode=mode)
    for name, layer in ternary_layers(plain).items():
        assert layer.mode.fit == "survivors"
        assert torch.equal(layer.codes() * per_weight(layer.scales(), layer.in_features), weights[name])
    assert torch.equal(logits(plain), logits(trained)) == (size == 1)


def test_a_group_that_does_not_fit_names_layer_width_and_what_does() -> None:
    titan = pico.titan()
    with pytest.raises(
        InvalidInput, match=r"layers\.0\.attention\.qkv has 32 inputs, which groups of 12"
    ) as caught:
        convert(titan, mode=Mode("group", 12))
    assert caught.value.reason == "GROUP_MISFIT"
    assert "2, 4, 8, 16, 32" in caught.value.next_step
    assert len(caught.value.violations) == 5
    assert not ternary_layers(titan)  # all or nothing


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        (["lm_head"], "NOT_TERNARY"),
        (["no.such"], "UNKNOWN_LAYER"),
        (["model.norm"], "UNKNOWN_LAYER"),
        ([], "NO_LAYERS"),
    ],
)
def test_what_cannot_be_ternary_is_refused(chosen: list[str], reason: str) -> None:
    llama = pico.llama()
    with pytest.raises(InvalidInput) as caught:
        convert(llama, ["model.layers.0.mlp.up_proj", *chosen] if chosen else chosen)
    assert caught.value.reason == reason
    assert not any(isinstance(module, BitLinear) for module in llama.modules())
