"""A saved ternary model is a plain one by its weights file, and the ternary one with its record."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from agentforge.kit.errors import DataLoss, FailedPrecondition, ForgeError
from agentforge.models.ternary import record
from agentforge.models.ternary.convert import convert
from agentforge.models.ternary.linear import BitLinear, Mode, ternary_layers
from tests import pico

from .conftest import logits


def test_it_comes_back_to_the_bit_and_is_plain_without_its_record(model: Any, tmp_path: Path) -> None:
    plain = logits(model)
    convert(model, mode=Mode("group", 8, 0.6, "survivors", 0.9))
    first, layer = next(iter(ternary_layers(model).items()))
    layer.mode = replace(layer.mode, threshold=0.9)  # each layer has its own
    record.save(tmp_path, model)
    again = record.load(tmp_path)
    assert {n: each.mode for n, each in ternary_layers(again).items()} == {
        n: each.mode for n, each in ternary_layers(model).items()
    }
    assert again.get_submodule(first).mode.threshold == 0.9
    assert torch.equal(logits(again), logits(model))
    latent = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert not any(isinstance(module, BitLinear) for module in latent.modules())
    assert torch.equal(logits(latent), plain)
    record.save(tmp_path / "second", again)
    for name in ("model.safetensors", record.FILE):
        assert (tmp_path / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_training_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    model = pico.llama()
    convert(model)
    record.save(tmp_path, model)
    ids_BT = torch.arange(24).view(2, 12)
    for each in (model, record.load(tmp_path)):
        optimiser = torch.optim.AdamW(each.parameters(), lr=1e-2)
        for _ in range(2):
            optimiser.zero_grad()
            each.train()(input_ids=ids_BT, labels=ids_BT).loss.backward()
            optimiser.step()
        record.save(tmp_path / str(each is model), each)
    for name in ("model.safetensors", record.FILE):
        assert (tmp_path / "True" / name).read_bytes() == (tmp_path / "False" / name).read_bytes()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    model = pico.titan()
    convert(model)
    record.save(tmp_path, model)
    return tmp_path


def test_weights_that_give_other_codes_are_named(saved: Path) -> None:
    tensors = load_file(saved / "model.safetensors")
    tensors["layers.0.mlp.up.weight"][3, 3] += 1
    save_file(tensors, saved / "model.safetensors", {"format": "pt"})
    with pytest.raises(DataLoss, match="do not give the codes") as caught:
        record.load(saved)
    assert caught.value.field == "layers.0.mlp.up"


def test_a_damaged_record_is_refused(saved: Path) -> None:
    good = json.loads((saved / record.FILE).read_text())
    entry = good["layers"]["layers.0.mlp.up"]
    bad: list[tuple[Any, type[ForgeError]]] = [
        ({**good, "version": 2}, FailedPrecondition),
        ({**good, "layers": {"layers.9.mlp.up": entry}}, DataLoss),
        ({**good, "layers": {"norm": entry}}, DataLoss),
        ({**good, "layers": {"layers.0.mlp.up": {**entry, "strength": 7}}}, DataLoss),
        ({**good, "layers": {"layers.0.mlp.up": {**entry, "more": 7}}}, DataLoss),
        ({**good, "layers": {"layers.0.mlp.up": {**entry, "threshold": 0.6}}}, DataLoss),
        ({"version": 1}, DataLoss),
        ([], DataLoss),
    ]
    for text, error in [(json.dumps(each), kind) for each, kind in bad] + [("{", DataLoss)]:
        (saved / record.FILE).write_text(text)
        with pytest.raises(error):
            record.load(saved)
