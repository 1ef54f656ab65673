"""Counted costs against what is really stored and computed; zeros and bits against their formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests import pico
from tests.unit.adas.searching import llama, ternary_titan


def plain_titan(**fields: Any) -> Any:
    model: Any = pico.titan(num_hidden_layers=2, act_steps_train=3, act_steps_infer=3, **fields)
    return model.eval()


@pytest.mark.parametrize("make", [plain_titan, llama])
def test_flops_are_those_that_torch_counts(make: Any) -> None:
    """One more token after `context - 1` in the cache."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    from agentforge.phase7_adas.search.cost import cost_of

    model, context = make(), 17
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        past = model(input_ids=torch.arange(4, 3 + context)[None], use_cache=True).past_key_values
        with FlopCounterMode(display=False) as counter:
            model(input_ids=torch.tensor([[4]]), past_key_values=past, use_cache=True)
    counted = cost_of(model, {}, context)
    assert counted.parameters == sum(one.numel() for one in model.parameters())
    assert counted.flops == pytest.approx(counter.get_total_flops(), rel=0.02)  # gates of a single number apart


def test_bytes_of_a_ternary_model_are_those_of_its_packed_file(tmp_path: Path) -> None:
    from agentforge.models.ternary.packed import Bits, save_packed
    from agentforge.phase7_adas.search.cost import cost_of

    model = ternary_titan()
    for bits in (8, 4):
        file = save_packed(tmp_path, model, Bits(linears="2", embeddings=bits, rest=32))
        header = 8 + int.from_bytes(file.read_bytes()[:8], "little")
        counted = cost_of(model, {"bits.embeddings": bits}, 16).bytes
        assert counted == pytest.approx(file.stat().st_size - header, rel=0.002)


def test_zeros_are_where_they_cost_least_and_stay_there() -> None:
    import copy

    from agentforge.phase7_adas.search.weights import kept, stored_bytes, zeros

    model = copy.deepcopy(llama())
    part = zeros(model, {"sparsity": "2:4"})
    weight = model.model.layers[0].mlp.up_proj.weight
    assert ((weight.view(-1, 4) != 0).sum(-1) == 2).all()
    with torch.no_grad():
        weight += 1
    part.after_step(0, 1.0)
    assert ((weight.view(-1, 4) != 0).sum(-1) == 2).all()
    w = torch.tensor([[3.0, -4.0, 1.0, 2.0]])
    assert kept(w, "2:4").tolist() == [[True, True, False, False]]
    assert kept(w, "0.7").tolist() == [[False, True, False, False]]
    name = "model.layers.0.mlp.up_proj.weight"
    size = weight.numel()
    assert stored_bytes(model, {"sparsity": "2:4"})[name] == size * 2 + size // 8
    assert stored_bytes(model, {"sparsity": "0.5"})[name] == size * 2 + size // 8
    assert stored_bytes(model, {"sparsity": "0.5", "bits.mlp": 8})[name] == size // 2 + size // 8 + 2 * len(weight)


def test_rounded_weights_are_those_a_file_gives_back() -> None:
    import copy

    from agentforge.models.ternary.tables import quantise_table, table
    from agentforge.phase7_adas.search.weights import round_weights

    model = copy.deepcopy(ternary_titan())
    before = model.embed_tokens.weight.detach().clone()
    latents = model.layers[0].mlp.up.weight.detach().clone()
    assert round_weights(model, {"bits.embeddings": 4}) == {"embed_tokens.weight": 4}
    now = model.embed_tokens.weight
    assert torch.equal(now, table(*quantise_table(before, 4), tuple(before.shape), 4))
    assert model.lm_head.weight is now
    assert torch.equal(model.layers[0].mlp.up.weight, latents)
    again = now.detach().clone()
    round_weights(model, {"bits.embeddings": 4})
    assert torch.allclose(now, again, rtol=1e-3, atol=0)
