"""What an export says of itself, and what it refuses, by name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from agentforge.edge.graph.export import edge_module, export
from agentforge.edge.graph.titan import EdgeTitan
from agentforge.edge.lowering import lower
from agentforge.kit.errors import InvalidInput
from agentforge.models.ternary.convert import convert
from agentforge.models.ternary.linear import Mode, ternary_layers
from tests import pico


def test_inputs_and_outputs_are_those_of_the_facts() -> None:
    made = export(pico.titan(), eos=5, context=40)
    names = [each.name for each in made.model.graph.input]
    assert names == [name for name, *_ in made.facts.inputs()]
    assert [each.name for each in made.model.graph.output] == [name for name, *_ in made.facts.outputs()]
    assert made.facts.record["context"] == 40
    assert made.facts.record["eos"] == 5
    assert [dim.dim_param for dim in made.model.graph.input[0].type.tensor_type.shape.dim] == ["batch", "time"]


def test_the_model_stays_as_it_was() -> None:
    model = pico.titan()
    convert(model, list(_linears(model)), Mode())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    edge_module(model)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert ternary_layers(model)


def test_ternary_layers_add_the_same_integers() -> None:
    """Where no activation is near the middle between two codes: its last bit would decide."""
    model = pico.titan().eval()
    convert(model, list(_linears(model)), Mode())
    ids = torch.tensor([[3, 1, 4, 1, 5]])
    edge = edge_module(model)
    assert isinstance(edge, EdgeTitan)
    none = torch.zeros(1, 0, dtype=torch.int32)
    shape = (1, edge.facts.heads, 0, edge.facts.head_size)
    empty = [(torch.zeros(shape), torch.zeros(shape))] * edge.facts.windows
    with torch.no_grad():
        ours = edge(ids.int(), torch.arange(5, dtype=torch.int32)[None], none, empty, [])[0]
        theirs = model(ids).logits[:, -1]
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_an_operator_that_nobody_can_lower_is_named_with_its_module() -> None:
    class Strange(nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.special.bessel_j0(x)

    model = pico.llama()
    model.model.layers[1].mlp.act_fn = Strange()
    with pytest.raises(InvalidInput) as refused:
        lower(export(model).model)
    told = str(refused.value)
    assert "bessel_j0" in told
    assert "layers.1.mlp.act_fn" in told


def test_what_no_engine_can_index_is_refused() -> None:
    model = pico.llama()
    model.config.vocab_size = 2**31
    with pytest.raises(InvalidInput, match="beyond int32") as refused:
        export(model)
    assert refused.value.field == "vocab_size"


def test_a_rule_that_another_runtime_cannot_follow_is_refused() -> None:
    model = pico.titan(memory=True, num_hidden_layers=2, memory_layers=[1], memory_write="random")
    with pytest.raises(InvalidInput, match="random") as refused:
        export(model)
    assert refused.value.reason == "CANNOT_EXPORT"


def _linears(model: nn.Module) -> list[str]:
    return [
        name for name, each in model.named_modules() if isinstance(each, nn.Linear) and name.startswith("layers.")
    ]
