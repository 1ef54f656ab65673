"""A packed file is the fake-quantised model, to the bit; and no bit of it can change unseen."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from agentforge.kit.errors import DataLoss, FailedPrecondition, InvalidInput, NotFound
from agentforge.models.ternary import packed
from agentforge.models.ternary.convert import convert
from agentforge.models.ternary.linear import Mode, set_strength, ternary_layers
from agentforge.models.ternary.packed import FILE, Bits, open_packed, save_packed
from agentforge.models.ternary.packed_linear import PackedLinear
from agentforge.models.ternary.tables import quantise_table, table
from agentforge.models.ternary.unpacking import load_packed, sizes
from tests import pico

from .conftest import logits

MODES = [
    Mode(), Mode("channel", threshold=0.7), Mode("group", 16, fit="survivors"), Mode(norm=True),
]  # fmt: skip


@pytest.mark.parametrize("linears", ["2", "1.6"])
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_codes_scales_and_logits_come_back_to_the_bit(model: Any, mode: Mode, linears: Any, tmp_path: Path) -> None:
    convert(model, mode=mode)
    save_packed(tmp_path, model, Bits(linears, 32))
    loaded = load_packed(tmp_path)
    for name, layer in ternary_layers(model).items():
        held = loaded.get_submodule(name)
        assert isinstance(held, PackedLinear)
        assert torch.equal(held.codes(), layer.codes())
        assert torch.equal(held.scales(), layer.scales())
        assert held.mode == layer.mode
    assert torch.equal(logits(loaded), logits(model))


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_scales_take_two_bytes_where_that_is_exact_and_else_four(mode: Mode, tmp_path: Path) -> None:
    plain = pico.llama()
    name, other = "model.layers.0.mlp.up_proj", "model.layers.1.mlp.up_proj"
    with torch.no_grad():
        weight = plain.get_submodule(name).weight
        weight.copy_(weight.sign() * 0.1)  # ternary already, of a size that is no float16
    convert(plain, [name, other], mode)
    save_packed(tmp_path, plain)
    loaded, tensors = load_packed(tmp_path), open_packed(tmp_path).tensors
    for each, dtype in ((name, torch.float32), (other, torch.float16)):
        assert tensors[f"{each}.weight.scales"].dtype == dtype
        scale_AG = loaded.get_submodule(each).scales()
        assert scale_AG.dtype == torch.float32
        assert torch.equal(scale_AG, plain.get_submodule(each).scales())
    assert loaded.get_submodule(name).scales() == torch.tensor(0.1)
    found = sizes(tmp_path)
    codes = sum(tensors[f"{each}.weight.codes"].numel() for each in (name, other))
    assert found.linears == codes + 4 + 2 * tensors[f"{other}.weight.scales"].numel()


@pytest.mark.parametrize("embeddings", [8, 4])
def test_embeddings_and_head_are_rounded_and_nothing_else(model: Any, embeddings: Any, tmp_path: Path) -> None:
    convert(model)
    before = copy.deepcopy(model.state_dict())
    save_packed(tmp_path, model, Bits("2", embeddings))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    with torch.no_grad():
        weights = {id(m.weight): m.weight for m in (model.get_input_embeddings(), model.get_output_embeddings())}
        for weight in weights.values():
            weight.copy_(table(*quantise_table(weight, embeddings), tuple(weight.shape), embeddings))
    loaded = load_packed(tmp_path)
    assert torch.equal(logits(loaded), logits(model))
    tied = loaded.get_input_embeddings().weight is loaded.get_output_embeddings().weight
    assert tied == (len(weights) == 1)


def test_a_loaded_model_generates_and_can_be_packed_again(tmp_path: Path) -> None:
    model = pico.titan(memory=True, memory_layers=[0]).eval()
    convert(model)
    save_packed(tmp_path / "first", model, Bits("1.6", 32))
    loaded = load_packed(tmp_path / "first")
    ids_BT = torch.tensor([[5, 6, 7]])
    made = [each.generate(ids_BT, max_new_tokens=5, do_sample=False, pad_token_id=0) for each in (model, loaded)]
    assert torch.equal(*made)
    save_packed(tmp_path / "second", loaded, Bits("1.6", 32))
    assert (tmp_path / "first" / FILE).read_bytes() == (tmp_path / "second" / FILE).read_bytes()


def test_sizes_are_of_the_file_and_sum_to_it(model: Any, tmp_path: Path) -> None:
    count = sum(parameter.numel() for parameter in model.parameters())
    convert(model)
    found = {}
    for bits in (Bits("2", 8), Bits("1.6", 4), Bits("1.6", 4, 16)):
        save_packed(tmp_path, model, bits)
        found[bits] = size = sizes(tmp_path)
        assert size.file == (tmp_path / FILE).stat().st_size
        assert size.file == size.linears + size.embeddings + size.rest + size.header
        assert size.linears_fp32 + size.embeddings_fp32 + size.rest_fp32 == 4 * count
        assert size.file_ratio == 4 * count / size.file
    assert 15.5 < found[Bits("2", 8)].linears_ratio < 16
    assert 19 < found[Bits("1.6", 4)].linears_ratio < 20
    assert found[Bits("1.6", 4, 16)].rest * 2 == found[Bits("1.6", 4)].rest


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One ternary layer of few weights, so that every kind of bit is met often."""
    place = tmp_path_factory.mktemp("packed")
    model = pico.llama(num_hidden_layers=1, hidden_size=8, intermediate_size=8, num_attention_heads=1, vocab_size=8)
    convert(model, ["model.layers.0.mlp.up_proj"])
    save_packed(place, model)
    return place


def altered(small: Path, data: bytes, place: Path) -> Path:
    place.mkdir(exist_ok=True)
    (place / FILE).write_bytes(data)
    (place / "config.json").write_bytes((small / "config.json").read_bytes())
    return place


@given(data=st.data())
def test_any_flipped_bit_is_found(
    small: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = bytearray((small / FILE).read_bytes())
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    whole[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DataLoss):
        load_packed(altered(small, bytes(whole), tmp_path_factory.getbasetemp() / "flipped"))


def test_a_flipped_bit_of_a_tensor_is_named_by_it(small: Path, tmp_path: Path) -> None:
    whole = (small / FILE).read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    with safe_open(small / FILE, framework="pt") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    for name, tensor in tensors.items():
        data = tensor.flatten().view(torch.uint8).numpy().tobytes()
        place = whole.index(data, start) + len(data) // 2
        if whole.count(data) > 1:  # norms are all ones: which of them it is cannot be told here
            continue
        flipped = whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :]
        with pytest.raises(DataLoss, match="is not what was written") as caught:
            load_packed(altered(small, flipped, tmp_path / "flipped"))
        assert caught.value.field == name


@given(data=st.data())
def test_a_cut_file_is_found(small: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    whole = (small / FILE).read_bytes()
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(DataLoss):
        load_packed(altered(small, cut, tmp_path_factory.getbasetemp() / "cut"))


def test_a_layout_of_another_version_is_refused(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = pico.llama()
    convert(model)
    monkeypatch.setattr(packed, "VERSION", 2)
    save_packed(tmp_path, model)
    monkeypatch.undo()
    with pytest.raises(FailedPrecondition, match="layout 2") as caught:
        load_packed(tmp_path)
    assert caught.value.reason == "LAYOUT_VERSION"


def test_what_is_no_packed_file_or_of_another_model_is_refused(small: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        load_packed(tmp_path)
    save_file({"a": torch.ones(1)}, tmp_path / FILE)
    with pytest.raises(DataLoss, match="layout"):
        open_packed(tmp_path)
    (tmp_path / FILE).write_bytes((small / FILE).read_bytes())
    pico.llama(num_hidden_layers=2, hidden_size=8, intermediate_size=8, vocab_size=8).config.save_pretrained(
        tmp_path
    )
    with pytest.raises(DataLoss, match=r"config\.json"):
        load_packed(tmp_path)


def test_only_what_is_wholly_ternary_and_finite_is_packed(tmp_path: Path) -> None:
    model = pico.llama()
    with pytest.raises(FailedPrecondition, match="no ternary layer"):
        save_packed(tmp_path, model)
    convert(model)
    set_strength(model, 0.5)
    with pytest.raises(FailedPrecondition, match=r"strength 0\.5"):
        save_packed(tmp_path, model)
    set_strength(model, 1.0)
    with torch.no_grad():
        model.model.norm.weight[0] = 1e6  # beyond float16
    with pytest.raises(InvalidInput, match=r"model\.norm\.weight"):
        save_packed(tmp_path, model, Bits(rest=16))
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight[0, 0] = float("nan")
    with pytest.raises(InvalidInput, match="up_proj"):
        save_packed(tmp_path, model)
    assert not list(tmp_path.iterdir())
