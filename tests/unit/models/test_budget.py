"""The parameter budget (layout B), counted from the tensors."""

import pytest
import torch
from torch import nn

from agentforge.models import TitanConfig, TitanForCausalLM

from .conftest import PLAIN


def build(name: str, **overrides: object) -> TitanForCausalLM:
    with torch.device("meta"):
        return TitanForCausalLM(TitanConfig.preset(name, **overrides))


def count(*parts: nn.Module | nn.Parameter) -> int:
    return sum(
        sum(p.numel() for p in part.parameters()) if isinstance(part, nn.Module) else part.numel() for part in parts
    )


def test_full_is_exactly_layout_b() -> None:
    model = build("full")
    assert count(model) == 25_069_534
    assert len(list(model.buffers())) == 0
    assert model.lm_head.weight is model.embed_tokens.weight
    assert (count(model.embed_tokens), count(model.norm)) == (6_912_000, 216)
    assert len(model.layers) == 11
    for layer in model.layers:
        assert count(layer.attention_norm, layer.mlp_norm) == 432
        assert (count(layer.attention), count(layer.mlp)) == (186_624, 1_327_104)
    memories = [layer.memory for layer in model.layers if layer.memory is not None]
    assert len(memories) == 5
    for memory in memories:
        assert count(memory.q, memory.kv, memory.o) == 186_624
        assert (count(memory.gates), count(memory.key_norm, memory.read_norm)) == (651, 432)
        assert count(memory.initial) == 93_312
    assert (count(model.halting), count(model.step_scale)) == (20_105, 8)
    assert (count(model.persistent), count(model.start), count(model.consolidate)) == (28_944, 432, 46_872)
    assert (count(model.strength.learned), count(model.strength.decay)) == (101, 1)


def test_slots_cost_no_parameters() -> None:
    assert {count(build("full", memory_slots=slots)) for slots in (2_048, 4_096, 8_192)} == {25_069_534}


@pytest.mark.parametrize(("name", "size"), [("50m", 50e6), ("100m", 100e6), ("1.5b", 1.5e9)])
def test_tiers_are_the_size_they_are_called(name: str, size: float) -> None:
    assert count(build(name)) == pytest.approx(size, rel=0.02)


@pytest.mark.parametrize("vocab_size", [512, 1024])
def test_tiny_is_tiny(vocab_size: int) -> None:
    assert 200_000 <= count(build("tiny", vocab_size=vocab_size)) <= 500_000


def test_small_is_about_two_million() -> None:
    assert count(build("small")) == pytest.approx(2e6, rel=0.1)


def test_what_is_off_holds_no_parameters() -> None:
    plain = count(build("full", **PLAIN))
    assert plain == 6_912_000 + 216 + 16_655_760
    assert count(build("full", **PLAIN | {"memory": True})) == plain + 1_405_095 + 101 + 1
    assert count(build("full", **PLAIN | {"act": True})) == plain + 20_105 + 8
    assert count(build("full", **PLAIN | {"recursion": True})) == plain + 432 + 46_872
    assert count(build("full", **PLAIN | {"persistent_tokens": 134})) == plain + 28_944


def test_unknown_presets_and_impossible_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="no preset 'huge'"):
        TitanConfig.preset("huge")
    with pytest.raises(ValueError, match="hidden_size"):
        TitanConfig(hidden_size=30, num_attention_heads=4)
    with pytest.raises(ValueError, match="nothing can see"):
        TitanConfig(sliding_window=16, memory_chunk=32)
    with pytest.raises(ValueError, match="memory_write"):
        TitanConfig(memory_write="lifo")
    with pytest.raises(ValueError, match="act_steps_infer"):
        TitanConfig(act_steps_infer=9)
