"""Merging gives what PEFT gives, to the bit, and a directory that needs no PEFT."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM

from agentforge.kit.config import validate_config
from agentforge.kit.errors import DataLoss, FailedPrecondition
from agentforge.models.ternary import record
from agentforge.models.ternary.convert import convert
from agentforge.models.ternary.linear import ternary_layers
from agentforge.phase6_baking.adapters.merge import attached, merged, write
from agentforge.phase6_baking.configs.adapters import AdaptersConfig
from agentforge.train.loading import load_model
from tests import pico
from tests.unit.baking.brought_adapters import brought

IDS = torch.arange(2, 14)[None]
SEED = 5


def config(**fields: Any) -> AdaptersConfig:
    return validate_config(AdaptersConfig, fields)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pico.save(pico.llama(), tmp_path_factory.mktemp("adapters") / "base")


@pytest.fixture(scope="module")
def two(base: Path) -> list[Path]:
    return [brought(base, base.parent / f"{seed}", seed) for seed in (1, 2)]


def by_peft(base: Path) -> Any:
    loader: Any = AutoModelForCausalLM
    return loader.from_pretrained(base)


def assert_same(model: Any, expected: Any) -> None:
    found, wanted = model.state_dict(), expected.state_dict()
    assert found.keys() == wanted.keys()
    assert all(found[name].dtype == wanted[name].dtype for name in wanted)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_one_is_pefts_own_result(base: Path, two: list[Path]) -> None:
    model = merged(load_model(base).model, two[:1], config(), SEED)
    assert_same(model, peft.PeftModel.from_pretrained(by_peft(base), two[0]).merge_and_unload())
    unmerged = peft.PeftModel.from_pretrained(by_peft(base), two[0]).eval()
    difference = model(input_ids=IDS).logits - unmerged(input_ids=IDS).logits
    assert float(difference.detach().abs().max()) <= 1e-5
    assert not torch.equal(model.lm_head.weight, torch.zeros_like(model.lm_head.weight))
    assert model.lm_head.weight is model.get_input_embeddings().weight
    assert not torch.equal(model.model.layers[0].self_attn.q_proj.weight, layer_of(base))


def layer_of(base: Path) -> torch.Tensor:
    weight: torch.Tensor = by_peft(base).model.layers[0].self_attn.q_proj.weight
    return weight


@pytest.mark.parametrize("method", ["cat", "linear", "ties", "dare_linear", "dare_ties"])
def test_several_are_pefts_own_result(base: Path, two: list[Path], method: str) -> None:
    chosen = config(method=method, weights=[0.7, 0.5], density=0.6)
    state = torch.get_rng_state()
    model = merged(load_model(base).model, two, chosen, SEED)
    assert torch.equal(torch.get_rng_state(), state)
    again = merged(load_model(base).model, two, chosen, SEED)
    assert_same(model, again)

    from agentforge.kit.rng import Rng

    theirs: Any = peft.PeftModel.from_pretrained(by_peft(base), two[0], adapter_name="first")
    theirs.load_adapter(two[1], adapter_name="second")
    torch.manual_seed(Rng(SEED, "baking/adapters").seed)
    theirs.add_weighted_adapter(["first", "second"], [0.7, 0.5], "both", combination_type=method, density=0.6)
    theirs.set_adapter("both")
    unmerged = theirs(input_ids=IDS).logits
    assert float((model(input_ids=IDS).logits - unmerged).detach().abs().max()) <= 1e-5
    assert_same(model, theirs.merge_and_unload())


def test_seeds_drop_differently(base: Path, two: list[Path]) -> None:
    chosen = config(method="dare_linear")
    first, second = (merged(load_model(base).model, two, chosen, seed) for seed in (1, 2))
    assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_cat_is_the_sum(base: Path, two: list[Path]) -> None:
    other = brought(base, base.parent / "wide", 3, r=7, lora_alpha=3, target_modules=["up_proj", "q_proj"])
    together = attached(load_model(base).model, [two[0], other], config(weights=[0.5, -2.0]), SEED)
    layer = together.base_model.model.model.layers[0].self_attn.q_proj
    summed = 0.5 * layer.get_delta_weight("given_0_") - 2.0 * layer.get_delta_weight("given_1_")
    torch.testing.assert_close(layer.get_delta_weight("together"), summed)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_types_and_files_stay(tmp_path: Path, dtype: torch.dtype) -> None:
    made: Any = pico.llama(tie_word_embeddings=False)
    place = pico.save(made.to(dtype), tmp_path / "base")
    (place / "generation_config.json").write_text('{"eos_token_id": [1, 2]}')
    adapter = brought(place, tmp_path / "adapter", use_dora=True)
    loaded = load_model(place)
    model = merged(loaded.model, [adapter], config(), SEED)
    assert {tensor.dtype for tensor in model.parameters()} == {dtype}
    assert_same(model, peft.PeftModel.from_pretrained(by_peft(place), adapter).merge_and_unload())
    write(tmp_path / "out", loaded, model)
    assert_same(load_model(tmp_path / "out").model, model)
    assert "2" in (tmp_path / "out" / "generation_config.json").read_text()


_ALONE = """
import sys
sys.modules["peft"] = None
from transformers import AutoModelForCausalLM
import torch
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
ids = torch.arange(2, 14)[None]
print(model.generate(input_ids=ids, max_new_tokens=8, do_sample=False).tolist()[0])
"""


@pytest.mark.slow
def test_generates_where_there_is_no_peft(base: Path, two: list[Path], tmp_path: Path) -> None:
    loaded = load_model(base)
    model = merged(loaded.model, two, config(), SEED)
    write(tmp_path / "out", loaded, model)
    done = subprocess.run(
        [sys.executable, "-c", _ALONE, str(tmp_path / "out")], capture_output=True, text=True, check=True
    )
    expected = model.generate(input_ids=IDS, max_new_tokens=8, do_sample=False).tolist()[0]
    assert done.stdout.splitlines()[-1] == str(expected)


def test_titans_are_merged_too(tmp_path: Path) -> None:
    place = pico.save(pico.titan(memory=True, memory_layers=[0]), tmp_path / "base")
    adapter = brought(place, tmp_path / "adapter", target_modules=["qkv", "o", "kv", "down"])
    model = merged(load_model(place).model, [adapter], config(), SEED)
    unmerged = attached(load_model(place).model, [adapter], config(), SEED)
    difference = model(input_ids=IDS).logits - unmerged(input_ids=IDS).logits
    assert float(difference.detach().abs().max()) <= 1e-5
    assert type(model).__name__ == "TitanForCausalLM"


def ternary(place: Path) -> Path:
    model = pico.llama()
    convert(model, ["model.layers.0.self_attn.q_proj"])
    record.save(place, model)
    pico.tokenizer().save_pretrained(place)
    return place


def test_ternary_layers_are_never_merged(tmp_path: Path) -> None:
    place = ternary(tmp_path / "base")
    adapter = brought(place, tmp_path / "adapter")
    with pytest.raises(FailedPrecondition, match=r"q_proj is ternary"):
        merged(load_model(place).model, [adapter], config(), SEED)
    beside = brought(place, tmp_path / "beside", target_modules=["v_proj"])
    loaded = load_model(place)
    write(tmp_path / "out", loaded, merged(loaded.model, [beside], config(), SEED))
    assert len(ternary_layers(load_model(tmp_path / "out").model)) == 1


def test_layers_that_the_file_lacks(base: Path, two: list[Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    place = Path(shutil.copytree(two[0], tmp_path / "adapter"))
    file = place / "adapter_model.safetensors"
    save_file({name: tensor for name, tensor in load_file(file).items() if "v_proj" not in name}, file)
    with pytest.raises(DataLoss, match="v_proj"):
        merged(load_model(base).model, [place], config(), SEED)
