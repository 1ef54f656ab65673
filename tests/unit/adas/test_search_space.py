"""The genes a model has, and the candidate that genes make: exact, and of the right parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from agentforge.kit.errors import InvalidInput
from agentforge.phase7_adas.configs.search import SpaceConfig
from tests import pico
from tests.unit.adas.searching import Start, config, llama, ternary_titan


def bench(model: Any, **told: Any) -> Any:
    from agentforge.phase7_adas.search.evaluate import Bench

    return Bench(Start(model), config(**told), 5)


def logits(model: Any, steps: int = 24) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=torch.arange(4, 4 + steps)[None]).logits
    return found


def test_genes_are_those_the_model_has() -> None:
    from agentforge.phase7_adas.search.space import space_of

    titan, plain = space_of(ternary_titan(), SpaceConfig()), space_of(llama(), SpaceConfig())
    assert titan.choices["layers"] == (2, 1)
    assert titan.choices["mlp_units"] == (64, 48, 32, 24, 16)
    assert titan.choices["act_steps"] == (3, 2, 1)
    assert titan.choices["memory_slots"] == (64, 32, 16)
    assert titan.choices["bits.embeddings"] == (0, 16, 8, 4)
    assert {"bits.attention", "bits.mlp", "bits.memory", "sparsity"} <= titan.absent.keys()
    assert "cannot be expressed" in titan.absent["heads"]
    assert set(plain.choices) == {
        "layers", "mlp_units", "bits.embeddings", "bits.attention", "bits.mlp", "sparsity",
    }  # fmt: skip
    assert {"heads", "act_steps", "memory_slots"} <= plain.absent.keys()


@pytest.mark.parametrize("make", [ternary_titan, llama])
def test_with_nothing_removed_it_is_the_input_to_the_bit(make: Any) -> None:
    from agentforge.phase7_adas.search.space import space_of
    from agentforge.train.state import own_tensors

    model = make()
    one = bench(model).made(space_of(model, SpaceConfig()).unsearched)
    before, after = own_tensors(model), own_tensors(one)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(before[name].data_ptr() != after[name].data_ptr() for name in before)
    assert torch.equal(logits(one), logits(model))
    assert one.config.to_dict() == model.config.to_dict()


def test_units_without_a_say_can_go_without_a_trace() -> None:
    """Wanda finds the columns of `down` that are zero, and the rest computes what it did."""
    import copy

    model = copy.deepcopy(llama())
    with torch.no_grad():
        for layer in model.model.layers:
            layer.mlp.down_proj.weight[:, 1::2] = 0
    one = bench(model).made({"layers": 3, "mlp_units": 32})
    assert one.model.layers[0].mlp.up_proj.weight.shape == (32, 32)
    assert torch.equal(one.model.layers[0].mlp.gate_proj.weight, model.model.layers[0].mlp.gate_proj.weight[::2])
    assert torch.allclose(logits(one), logits(model), atol=1e-6)


def test_a_layer_that_adds_nothing_is_lost_without_a_loss_and_the_others_keep_their_places() -> None:
    import copy

    from agentforge.data.splits import Split
    from agentforge.shrink.importance import nats
    from agentforge.shrink.slim import Cut, slimmed

    model = copy.deepcopy(llama())
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight.zero_()
        model.model.layers[1].self_attn.o_proj.weight.zero_()
    found = bench(model)
    items = found.start.items(Split.CALIBRATION, 8)
    whole = nats(model, found.start.codec, items, 256)
    assert [each == whole for each in found.importance.without] == [False, True, False]
    one = slimmed(model, Cut((0, 2), dict.fromkeys((0, 2), torch.arange(64)), None, None))
    ids = torch.arange(4, 10)[None]  # its cache has two layers
    short, long = (m.generate(ids, max_new_tokens=3, do_sample=False, pad_token_id=0) for m in (one, model))
    assert torch.equal(short, long)


def test_the_layer_whose_loss_is_least_missed_goes_first() -> None:
    from agentforge.shrink.importance import Importance

    found = Importance([2.0, 1.5, 3.0, 1.5], [torch.tensor([0.1, 0.3, 0.2])])
    assert [found.best_layers(count) for count in (4, 3, 2, 1)] == [(0, 1, 2, 3), (0, 1, 2), (0, 2), (2,)]
    assert found.best_units(0, 2).tolist() == [1, 2]


def test_fewer_steps_are_what_the_model_says_when_it_infers_with_fewer() -> None:
    import copy

    for steps in (2, 1):
        other = copy.deepcopy(ternary_titan())
        other.config.act_steps_infer = steps
        genes = {"layers": 2, "mlp_units": 64, "act_steps": steps, "memory_slots": 64}
        one = bench(ternary_titan()).made(genes)
        assert one.config.act_steps_train == steps
        assert torch.equal(logits(one), logits(other))


def test_a_memory_goes_with_its_layer_and_slots_are_counted() -> None:
    from agentforge.models.ternary.linear import ternary_layers
    from agentforge.shrink.slim import Cut, slimmed

    model = ternary_titan()
    every = torch.arange(64)
    without = slimmed(model, Cut((0,), {0: every}, None, None))
    assert not without.config.memory
    assert without.strength is None
    moved = slimmed(model, Cut((1,), {1: every[::2]}, None, 32))
    assert moved.config.memory_layers == [0]
    assert moved.layers[0].memory.slots == 32
    modes = {name: layer.mode for name, layer in ternary_layers(model).items() if name.startswith("layers.1.")}
    assert {name.replace("layers.0", "layers.1"): m.mode for name, m in ternary_layers(moved).items()} == modes
    assert logits(moved).isfinite().all()


def test_a_packed_model_is_refused_by_its_layer(tmp_path: Path) -> None:
    from agentforge.models.ternary.packed import Bits, save_packed
    from agentforge.models.ternary.unpacking import load_packed
    from agentforge.shrink.anatomy import anatomy

    save_packed(tmp_path, ternary_titan(), Bits())
    with pytest.raises(InvalidInput, match=r"layers\.0\.\S+ has codes and no latents"):
        anatomy(load_packed(tmp_path))


def test_what_cannot_be_slimmed_is_refused_by_name() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    from agentforge.phase7_adas.search.space import space_of

    other = GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=16, n_head=2, vocab_size=len(pico.tokenizer())))
    with pytest.raises(InvalidInput, match=r"GPT2LMHeadModel cannot be slimmed.*mlp\.gate_proj"):
        space_of(other, SpaceConfig())
