"""A plan counts what is there."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file

from agentforge.phase6_baking.adapters.plan import plan
from tests import pico
from tests.unit.baking.brought_adapters import brought


def test_counts_are_those_of_the_tensors(tmp_path: Path) -> None:
    model = pico.llama()
    base = pico.save(model, tmp_path / "base")
    one = brought(base, tmp_path / "one", r=4, rank_pattern={"q_proj": 2}, target_modules=["q_proj", "v_proj"])
    two = brought(base, tmp_path / "two", r=3, target_modules=["q_proj"])
    found = plan(base, [one, two])
    assert found.parameters == sum(tensor.numel() for tensor in model.parameters())
    assert found.size == (base / "model.safetensors").stat().st_size
    weights = {name: tensor for name, tensor in model.named_parameters() if "q_proj" in name or "v_proj" in name}
    assert found.changed == sum(tensor.numel() for tensor in weights.values())
    for place, told in zip((one, two), found.adapters, strict=True):
        tensors = load_file(place / "adapter_model.safetensors")
        assert told.name == place.name
        assert told.parameters == sum(tensor.numel() for tensor in tensors.values())
        assert told.layers == len(tensors) // 2
        assert told.size == (place / "adapter_model.safetensors").stat().st_size
    assert [each.ranks for each in found.adapters] == [[2, 4], [3]]
