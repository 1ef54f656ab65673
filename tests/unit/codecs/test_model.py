"""A model in one file: what loads is the model of the decoded tensors, to the bit; and a directory that speaks."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agentforge.cli.verify import VerifyOptions, verify
from agentforge.codecs.container import FILE, read
from agentforge.codecs.decode import decode
from agentforge.codecs.encode import encode
from agentforge.codecs.model import load_compressed, plain_tensors, save_compressed
from agentforge.codecs.sizes import part_of, sizes
from agentforge.codecs.spec import Spec
from agentforge.codecs.write import write
from agentforge.kit.errors import DataLoss, FailedPrecondition, ForgeError, InvalidInput, NotFound
from agentforge.models.ternary.convert import convert
from agentforge.models.ternary.linear import Mode, set_strength, ternary_layers
from agentforge.models.ternary.packed_linear import PackedLinear
from agentforge.train.directory import check_weights
from agentforge.train.loading import load_model
from tests import pico
from tests.unit.ternary.conftest import logits

FOUR = Spec("grid", {"bits": 4, "group": 32})


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def titan() -> Any:
    model = pico.titan(memory=True, memory_layers=[0], recursion=True, persistent_tokens=2)
    convert(model, mode=Mode("group", 16, threshold=0.7))
    return model.eval()


def biased() -> Any:
    model = pico.llama(num_hidden_layers=1, tie_word_embeddings=False, attention_bias=True)
    convert(model, [f"model.layers.0.self_attn.{each}_proj" for each in "qk"], Mode(norm=True))
    with torch.no_grad():
        model.model.layers[0].self_attn.q_proj.bias.normal_(generator=torch.Generator().manual_seed(1))
    return model.eval()


MODELS: dict[str, Callable[[], Any]] = {
    "ternary titan": titan,
    "plain tied llama": lambda: pico.llama().eval(),
    "llama half ternary, with biases and a head of its own": biased,
}


def plan_of(model: Any) -> dict[str, Spec]:
    return {name: FOUR for name in part_of(model) if name in plain_tensors(model)}


@pytest.mark.parametrize("kind", MODELS)
def test_it_loads_as_the_model_of_its_decoded_tensors(kind: str, tmp_path: Path) -> None:
    model = MODELS[kind]()
    before = copy.deepcopy(model.state_dict())
    plan = plan_of(model)
    assert plan
    save_compressed(tmp_path, model, plan)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    loaded = load_compressed(tmp_path)
    for name, layer in ternary_layers(model).items():
        held = loaded.get_submodule(name)
        assert isinstance(held, PackedLinear)
        assert torch.equal(held.codes(), layer.codes())
        assert torch.equal(held.scales(), layer.scales())
        assert held.mode == layer.mode
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if name in plan:
                tensor.copy_(torch.from_numpy(decode(encode(tensor.detach().numpy(), FOUR))))
    assert torch.equal(logits(loaded), logits(model))
    assert not torch.equal(next(iter(plan_tensors(loaded, plan))), before[next(iter(plan))])
    first, second = (each.get_input_embeddings().weight for each in (model, loaded))
    tied = loaded.get_output_embeddings().weight is second
    assert tied == (model.get_output_embeddings().weight is first)
    assert set(loaded.state_dict()) - {
        f"{n}.{own}" for n in ternary_layers(model) for own in ("packed", "scale_AG")
    } == set(before) - {f"{name}.weight" for name in ternary_layers(model)}


def plan_tensors(model: Any, plan: dict[str, Spec]) -> list[torch.Tensor]:
    return [model.get_parameter(name) for name in plan]


def test_without_a_plan_nothing_is_lost_and_a_loaded_model_gives_the_same_bytes(tmp_path: Path) -> None:
    model = titan()
    paths = [save_compressed(tmp_path / "a", model, {}), save_compressed(tmp_path / "b", model, {})]
    loaded = load_compressed(tmp_path / "a")
    assert torch.equal(logits(loaded), logits(model))
    paths.append(save_compressed(tmp_path / "c", loaded, {}))
    assert len({path.read_bytes() for path in paths}) == 1
    plain = save_compressed(tmp_path / "d", model, {}, entropy=False)
    assert plain.stat().st_size > paths[0].stat().st_size
    assert torch.equal(logits(load_compressed(tmp_path / "d")), logits(model))


def test_sizes_sum_to_the_file_and_count_parameters(tmp_path: Path) -> None:
    model = biased()
    count = sum(parameter.numel() for parameter in model.parameters())
    file = save_compressed(tmp_path, model, plan_of(model))
    found = sizes(tmp_path)
    assert found.file == file.stat().st_size
    assert found.file == found.ternary + found.linears + found.embeddings + found.rest + found.header
    assert found.fp32 == 4 * count
    assert found.file_ratio == 4 * count / found.file
    assert found.ternary_fp32 == 4 * 2 * 32 * 32
    assert found.embeddings_fp32 == 4 * 2 * model.config.vocab_size * 32
    assert found.ternary_fp32 / found.ternary > 15
    assert found.header < 1200


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("model.embed.weight", "no tensor model.embed.weight"),
        ("model.layers.0.self_attn.q_proj.weight", "is ternary"),
        ("lm_head.weight", "another name"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused_by_name(name: str, told: str, tmp_path: Path) -> None:
    model = pico.llama()
    convert(model)
    with pytest.raises(InvalidInput, match=told) as caught:
        save_compressed(tmp_path, model, {name: FOUR})
    assert caught.value.field == name
    assert not list(tmp_path.iterdir())


def test_what_is_not_finite_or_half_ternary_is_refused_by_name(tmp_path: Path) -> None:
    model = pico.llama()
    with torch.no_grad():
        model.model.norm.weight[0] = torch.nan
    with pytest.raises(InvalidInput, match="not finite") as caught:
        save_compressed(tmp_path, model, {})
    assert caught.value.field == "model.norm.weight"
    model = titan()
    set_strength(model, 0.5)
    with pytest.raises(FailedPrecondition, match="strength"):
        save_compressed(tmp_path, model, {})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("made") / "model"
    save_compressed(place, biased(), {"lm_head.weight": FOUR})
    pico.tokenizer().save_pretrained(place)
    return place


def test_a_directory_of_it_is_a_model_that_is_not_trained(made: Path) -> None:
    loaded = load_model(made)
    assert torch.equal(logits(loaded.model), logits(load_compressed(made)))
    assert (loaded.context, loaded.model.training) == (64, False)
    with pytest.raises(InvalidInput, match="is compressed") as caught:
        check_weights(made)
    assert (caught.value.reason, caught.value.field) == ("COMPRESSED_MODEL", str(made / FILE))


def again(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """Its payloads changed, in a file that is whole."""

    def spoil(place: Path) -> None:
        payloads = read(place / FILE).payloads
        change(payloads)
        write(place / FILE, payloads)

    return spoil


def cut(place: Path) -> None:
    (place / FILE).write_bytes((place / FILE).read_bytes()[:-9])


def as_nan(payloads: dict[str, Any]) -> None:
    stream = payloads["model.norm.weight"].streams["values"]
    payloads["model.norm.weight"].streams["values"] = stream._replace(values=np.full(32, np.nan, np.float32))


def as_unknown(payloads: dict[str, Any]) -> None:
    payloads["lm_head.weight"] = payloads["lm_head.weight"]._replace(codec="zstd")


def as_norm(payloads: dict[str, Any]) -> None:
    payloads["model.norm.weight"] = payloads["model.layers.0.self_attn.q_proj.weight"]


Q = "model.layers.0.self_attn.q_proj.weight"
SPOILT: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "cut": (cut, "BROKEN_FILE", "cut"),
    "missing": (again(lambda held: held.pop("lm_head.weight")), "WEIGHTS_INCOMPLETE", "lm_head.weight"),
    "too many": (again(lambda held: held.update(more=held["lm_head.weight"])), "WEIGHTS_INCOMPLETE", "more"),
    "ternary is missing": (again(lambda held: held.pop(Q)), "WEIGHTS_INCOMPLETE", Q),
    "not finite": (again(as_nan), "NOT_FINITE", "model.norm.weight"),
    "unknown codec": (again(as_unknown), "BROKEN_FILE", "zstd"),
    "no linear layer": (again(as_norm), "BROKEN_FILE", "model.norm.weight"),
    "a mode": (again(lambda held: held[Q].settings["mode"].update(scale="row")), "BROKEN_FILE", "row"),
    "another model": (lambda it: pico.llama(hidden_size=64).config.save_pretrained(it), "BROKEN_FILE", "config"),
    "no file": (lambda it: (it / FILE).unlink(), "NO_WEIGHTS", "no weights"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_what_is_wrong_with_it_is_told(
    case: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, reason, told = SPOILT[case]
    place = shutil.copytree(made, tmp_path / "it")
    spoil(place)
    with pytest.raises(ForgeError, match=told) as caught:
        load_model(place)
    assert caught.value.reason == reason
    if case != "no file":
        assert verify(VerifyOptions(place, None, False, True, False, as_json=True)) == 1
        record = json.loads(capsys.readouterr().out)
        assert record["verdict"] == "refused"
        assert record["checks"][-1]["reason"] == reason


def test_verify_says_what_it_read(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(VerifyOptions(made, None, False, True, False, as_json=False)) == 0
    out = capsys.readouterr().out
    assert f"{(made / FILE).stat().st_size:,} bytes" in out
    assert "1 grid, 2 ternary" in out
    assert out.rstrip().endswith("verified: 2 checks")
    with pytest.raises(InvalidInput, match="bears no signature"):
        verify(VerifyOptions(made, None, True, True, False, as_json=False))


def test_a_directory_without_it_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        load_compressed(tmp_path)
    (tmp_path / FILE).write_bytes(b"AGFORGE\2" + bytes(60))
    with pytest.raises(DataLoss, match="version 2"):
        load_compressed(tmp_path)
