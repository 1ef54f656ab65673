"""What stands in a file: values exact where the type allows it, refused by the layer's name where it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agentforge.kit.errors import FailedPrecondition, ForgeError, InvalidInput
from agentforge.models.gguf.tensors import Types, Weight, encoded, file_names, in_file_order, pairs_together
from agentforge.models.gguf.tools import tool
from agentforge.models.gguf.writer import write_gguf
from agentforge.models.ternary.convert import convert
from agentforge.models.ternary.linear import Mode, set_strength, ternary_layers
from agentforge.models.ternary.packed import Bits, save_packed
from agentforge.models.ternary.quantise import per_weight
from agentforge.models.ternary.unpacking import load_packed
from tests import pico
from tests.unit.ggufs import small

pytestmark = small.needs_gguf


def stored(file: Path) -> dict[str, tuple[str, Any]]:
    gguf = tool("gguf")
    return {
        each.name: (each.tensor_type.name, gguf.quants.dequantize(each.data, each.tensor_type))
        for each in gguf.GGUFReader(file).tensors
    }


@pytest.mark.parametrize("kind", ["TQ2_0", "TQ1_0"])
@pytest.mark.parametrize("mode", [Mode(), Mode("channel", fit="survivors"), Mode("group", 256, threshold=0.7)])
def test_ternary_layers_are_in_the_file_to_the_bit(tmp_path: Path, mode: Mode, kind: Any) -> None:
    model = small.llama()
    convert(model, mode=mode)
    found = stored(write_gguf(tmp_path / "it.gguf", model, small.codec(), Types("F32", kind, "F32")))
    named = file_names(2)
    assert len(ternary_layers(model)) == 14
    for name, layer in ternary_layers(model).items():
        value = (layer.codes() * per_weight(layer.scales(), layer.in_features)).detach()
        weight = in_file_order(Weight(f"{name}.weight", value, kind), model.config)
        has, values = found[named(f"{name}.weight")]
        assert has == kind
        assert np.array_equal(values, weight.value.numpy()), name


@pytest.mark.parametrize(("kind", "error"), [("F32", 0.0), ("F16", 2**-11), ("Q8_0", 1 / 200)])
def test_dense_types_round_as_little_as_they_can(tmp_path: Path, kind: Any, error: float) -> None:
    model = small.llama(tie_word_embeddings=False)
    found = stored(write_gguf(tmp_path / "it.gguf", model, small.codec(), Types(kind, embeddings=kind)))
    for name, (has, _) in found.items():
        assert has == ("F32" if name.endswith(("norm.weight", ".bias")) else kind), name
    named = file_names(2)
    assert len(found) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        wanted = in_file_order(Weight(name, parameter.detach(), "F32"), model.config).value.numpy()
        values = found[named(name)][1]
        largest = np.abs(wanted).max() if kind == "Q8_0" else np.abs(wanted)
        assert (np.abs(values - wanted) <= error * largest + 2**-25).all(), name


def test_pairs_are_neighbours_head_by_head() -> None:
    rows_O = torch.arange(8)
    assert pairs_together(rows_O, 2).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    assert pairs_together(rows_O, 1).tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    w_OI = torch.randn(8, 3)
    assert torch.equal(pairs_together(w_OI, 2), w_OI[pairs_together(rows_O, 2)])


def test_a_packed_model_gives_the_same_file(tmp_path: Path) -> None:
    model = small.llama()
    convert(model)
    save_packed(tmp_path / "packed", model, Bits("1.6", 32))
    types = Types("F32", "TQ1_0", "F32")
    first = write_gguf(tmp_path / "a.gguf", model, small.codec(), types)
    second = write_gguf(tmp_path / "b.gguf", load_packed(tmp_path / "packed"), small.codec(), types)
    assert stored(first).keys() == stored(second).keys()
    for name, (kind, values) in stored(second).items():
        assert kind == stored(first)[name][0]
        assert np.array_equal(values, stored(first)[name][1])


def test_the_same_model_gives_the_same_bytes_and_stays_as_it_is(tmp_path: Path) -> None:
    model = small.llama()
    convert(model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    files = [write_gguf(tmp_path / name, model, small.codec()) for name in ("a.gguf", "b.gguf")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def refused(model: Any, place: Path, types: Types | None = None) -> ForgeError:
    with pytest.raises(ForgeError) as caught:
        write_gguf(place / "it.gguf", model, small.codec(), types)
    return caught.value


def test_widths_and_groups_that_do_not_fit_are_told_by_layer(tmp_path: Path) -> None:
    model = small.llama(hidden_size=272, intermediate_size=512)
    error = refused(model, tmp_path, Types("Q8_0", embeddings="F32"))
    assert "model.layers.0.self_attn.q_proj has 272 inputs, and Q8_0 takes multiples of 32" in error.message
    convert(model)
    error = refused(model, tmp_path, Types(embeddings="F32"))
    assert isinstance(error, InvalidInput)
    assert {each.reason for each in error.violations} == {"BLOCK_MISFIT"}
    assert {each.field.split(".")[-1] for each in error.violations} == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj",
    }  # fmt: skip
    assert "model.layers.0.self_attn.q_proj has 272 inputs, and TQ2_0 takes multiples of 256" in error.message
    model = small.llama()
    convert(model, mode=Mode("group", 128))
    error = refused(model, tmp_path)
    assert len(error.violations) == 14
    assert "a scale for each 128 inputs" in error.message


def test_norms_and_unfinished_warmups_are_refused(tmp_path: Path) -> None:
    model = small.llama()
    convert(model, ["model.layers.1.mlp.up_proj"], Mode(norm=True))
    error = refused(model, tmp_path)
    assert (error.reason, error.field) == ("NORM_UNKNOWN", "model.layers.1.mlp.up_proj")
    model = small.llama()
    convert(model)
    set_strength(model, 0.5)
    assert refused(model, tmp_path).reason == "NOT_TERNARY"


def test_other_architectures_are_refused(tmp_path: Path) -> None:
    error = refused(pico.titan(memory=True, memory_layers=[0]), tmp_path)
    assert isinstance(error, FailedPrecondition)
    assert (error.reason, error.field) == ("UNKNOWN_ARCHITECTURE", "model_type")
    assert "agentforge_titan" in error.message
    assert refused(small.llama(hidden_act="gelu"), tmp_path).field == "hidden_act"
    rope = {"rope_type": "yarn", "rope_theta": 10_000.0, "factor": 2.0}
    assert refused(small.llama(rope_parameters=rope), tmp_path).reason == "UNKNOWN_ROPE"


def test_scales_that_are_not_16_bits_wide_are_refused() -> None:
    value = torch.randint(-1, 2, (4, 256)) * 0.1
    with pytest.raises(InvalidInput) as caught:
        encoded(Weight("layer.weight", value, "TQ2_0"))
    assert (caught.value.reason, caught.value.field) == ("SCALE_NOT_HALF", "layer.weight")
    encoded(Weight("layer.weight", torch.randint(-1, 2, (4, 256)) * 0.125, "TQ2_0"))


def test_what_is_not_finite_in_its_type_is_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        encoded(Weight("layer.weight", torch.full((2, 32), 1e5), "F16"))
    assert (caught.value.reason, caught.value.field) == ("NOT_FINITE", "layer.weight")
