"""An adapter trained beside a model, ternary or not: the model itself stays as it was, to the bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from agentforge.kit.config import validate_config
from agentforge.kit.errors import DataLoss, FailedPrecondition, InvalidInput
from agentforge.models.ternary.convert import convert, projections
from agentforge.models.ternary.linear import BitLinear, frozen, ternary_layers
from agentforge.models.ternary.packed import save_packed
from agentforge.models.ternary.unpacking import load_packed
from agentforge.phase6_baking.adapters import lora
from agentforge.phase6_baking.configs.adapters import LoraConfig
from agentforge.train.adapters import ADAPTER, BASE, WEIGHTS, fit, has_adapter, put_beside
from agentforge.train.loading import load_model
from tests import pico
from tests.unit.baking.brought_adapters import brought

IDS = torch.arange(2, 14)[None]
KINDS = ("titan", "llama")


def made(kind: str, *, ternary: bool) -> Any:
    model: Any = pico.llama() if kind == "llama" else pico.titan(memory=True, memory_layers=[0])
    if ternary:
        convert(model)
    return model.eval()


def config(**fields: Any) -> LoraConfig:
    return validate_config(LoraConfig, {"rank": 4, **fields})


def trained(model: Any, steps: int = 5) -> Any:
    own = [tensor for tensor in model.parameters() if tensor.requires_grad]
    optimiser = torch.optim.AdamW(own, lr=1e-2)
    model.train()
    for _ in range(steps):
        optimiser.zero_grad()
        model(input_ids=IDS, labels=IDS).loss.backward()
        optimiser.step()
    return model.eval()


@torch.no_grad()  # attention takes another kernel where gradients are kept
def says(model: Any) -> torch.Tensor:
    logits: torch.Tensor = model(input_ids=IDS).logits
    return logits


def saved(model: Any, place: Path) -> Path:
    place.mkdir()
    lora.save(place, model)
    pico.tokenizer().save_pretrained(place)
    return place


@pytest.mark.parametrize("ternary", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_beside(kind: str, ternary: bool, tmp_path: Path) -> None:
    model = made(kind, ternary=ternary)
    before, tensors = says(model), {name: tensor.clone() for name, tensor in model.state_dict().items()}
    layers = projections(model)

    lora.attach(model, config(), seed=1)
    assert torch.equal(says(model), before)  # B is 0
    assert sorted(lora.wrapped_layers(model)) == sorted(layers)
    assert all("lora_" in name for name, tensor in model.named_parameters() if tensor.requires_grad)

    trained(model)
    after = says(model)
    assert not torch.allclose(after, before)
    with lora.without(model):
        assert model.state_dict().keys() == tensors.keys()
        assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in tensors.items())
        assert torch.equal(says(model), before)
    assert torch.equal(says(model), after)

    place = saved(model, tmp_path / "it")
    state = torch.get_rng_state()
    again = load_model(place).model
    torch.testing.assert_close(says(again), after)
    assert torch.equal(torch.get_rng_state(), state)
    assert len(ternary_layers(again)) == (len(layers) if ternary else 0)
    with frozen(again):
        torch.testing.assert_close(says(again), after)
    assert again.generate(input_ids=IDS, max_new_tokens=3, do_sample=False).shape == (1, IDS.shape[1] + 3)


def test_it_computes_beside_the_ternary_product() -> None:
    model = trained(lora.attach(made("llama", ternary=True), config(), seed=1))
    wrapped = next(iter(lora.wrapped_layers(model).values()))
    x = torch.randn(3, wrapped.in_features)
    assert isinstance(wrapped.base_layer, BitLinear)
    own = wrapped.lora_B["default"](wrapped.lora_A["default"](x)) * wrapped.scaling["default"]
    torch.testing.assert_close(wrapped(x), wrapped.base_layer(x) + own)


def test_what_is_saved_is_pefts(tmp_path: Path) -> None:
    model = trained(lora.attach(made("llama", ternary=False), config(alpha=3.0), seed=1))
    place = saved(model, tmp_path / "it")
    theirs = peft.PeftModel.from_pretrained(load_model(place).model, place / ADAPTER).eval()
    torch.testing.assert_close(says(theirs), says(model))


def test_the_same_bytes_each_time(tmp_path: Path) -> None:
    one, other = (
        saved(lora.attach(made("titan", ternary=True), config(), seed=1), tmp_path / name) for name in ("a", "b")
    )
    for file in (each.relative_to(one) for each in one.rglob("*") if each.is_file()):
        assert (one / file).read_bytes() == (other / file).read_bytes()
    told = json.loads((one / ADAPTER / "adapter_config.json").read_text())
    assert told["target_modules"] == sorted(told["target_modules"])


def test_the_seed_decides() -> None:
    first, again, other = (lora.attach(made("llama", ternary=False), config(), seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


def test_targets() -> None:
    model = lora.attach(made("titan", ternary=False), config(targets=["attention.o"]), seed=1)
    assert list(lora.wrapped_layers(model)) == ["layers.0.attention.o"]
    for target, reason in {"ttention.o": "UNKNOWN_LAYER", "gates": "UNSUPPORTED_LAYER"}.items():
        with pytest.raises(InvalidInput) as caught:
            lora.attach(made("titan", ternary=False), config(targets=[target]), seed=1)
        assert caught.value.reason == reason
    with pytest.raises(FailedPrecondition, match="already"):
        lora.attach(model, config(), seed=1)


def test_models_of_other_names() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    model: Any = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=1, n_head=2, n_positions=64, vocab_size=64))
    model.eval()
    before = says(model)
    lora.attach(model, config(), seed=1)
    assert torch.equal(says(model), before)
    assert "lm_head" not in lora.wrapped_layers(model)
    assert not torch.allclose(says(trained(model)), before)


def broken(file: Path) -> None:
    held = load_file(file)
    held[min(held)][0, 0] = float("nan")
    save_file(held, file)


def fewer(file: Path) -> None:
    held = load_file(file)
    held.pop(min(held))
    save_file(held, file)


def test_damaged_adapters_are_not_loaded(tmp_path: Path) -> None:
    model = trained(lora.attach(made("llama", ternary=False), config(), seed=1))
    for name, change, error in (
        ("nan", broken, "not finite"), ("fewer", fewer, "they differ in"),
        ("cut", lambda file: file.write_bytes(file.read_bytes()[:50]), "cannot be read"),
    ):  # fmt: skip
        place = saved(model, tmp_path / name)
        assert has_adapter(place)
        change(place / ADAPTER / WEIGHTS)
        with pytest.raises(DataLoss, match=error):
            put_beside(place, load_model(place).model)


def test_other_weights_than_it_was_trained_beside(tmp_path: Path) -> None:
    place = saved(lora.attach(made("llama", ternary=False), config(), seed=1), tmp_path / "it")
    (place / ADAPTER / BASE).write_text(json.dumps({"weights": "0" * 64}))
    with pytest.raises(InvalidInput, match="other weights"):
        put_beside(place, load_model(place).model)


def test_adapters_that_others_put_there(tmp_path: Path) -> None:
    place = saved(lora.attach(made("llama", ternary=False), config(), seed=1), tmp_path / "it")
    (place / ADAPTER / BASE).unlink()
    with pytest.raises(InvalidInput, match="trained beside"):
        put_beside(place, load_model(place).model)


def test_brought_adapters_stand_beside_ternary_layers(tmp_path: Path) -> None:
    base = pico.save(made("llama", ternary=False), tmp_path / "base")
    adapter = brought(base, tmp_path / "mine", use_dora=True)
    model = made("llama", ternary=True)
    before = says(model)
    fit(model, adapter)
    after = says(model)
    assert not torch.allclose(before, after)
    place = saved(model, tmp_path / "it")
    again = load_model(place).model
    put_beside(place, again)
    torch.testing.assert_close(says(again), after)


def test_packed_layers_take_none(tmp_path: Path) -> None:
    save_packed(tmp_path, made("llama", ternary=True))
    with pytest.raises(FailedPrecondition, match="packed"):
        lora.attach(load_packed(tmp_path), config(), seed=1)
