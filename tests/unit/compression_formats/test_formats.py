"""Every format that needs no rare tool: written, read back, and asked in its own runtime."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from agentforge.kit.errors import DataLoss, MissingTool
from agentforge.phase8_compression.formats import FORMATS, Made, Options, agreement, agreements
from agentforge.phase8_compression.formats.pytorch import PROGRAM, STATE, load_state
from tests.unit.compression_formats import models

OPTIONS = Options(context=models.CONTEXT, threads=1)


def make(form: str, model: str, place: Path, options: Options = OPTIONS) -> Made:
    made = FORMATS[form].make(models.model(model), models.codec(), place, options)
    assert all(made.path(file).stat().st_size > 0 for file in made.files)
    assert set(made.runs) <= set(made.files)
    return made


def same(form: str, model: str, made: Made) -> dict[str, float]:
    return agreements(FORMATS[form], made, models.codec(), models.items(), models.said(model), batch=4)


@pytest.mark.parametrize(
    ("form", "model"),
    [
        ("compressed", "titan"), ("compressed", "packed memory"), ("huggingface", "ternary"),
        ("huggingface", "packed memory"), ("onnx", "ternary"), ("onnx", "packed memory"), ("onnx", "llama"),
        ("tensorrt", "packed memory"), ("runner", "packed memory"), ("runner", "llama"),
    ],
)  # fmt: skip
def test_it_answers_as_pytorch_does(form: str, model: str, tmp_path: Path) -> None:
    made = make(form, model, tmp_path, dataclasses.replace(OPTIONS, cpu=("fp32",)))
    assert same(form, model, made) == dict.fromkeys(made.runs, 1.0)
    assert set(made.runs.values()) == {FORMATS[form].lossless}


def test_another_model_answers_otherwise(tmp_path: Path) -> None:
    assert len(set(models.said("titan"))) > len(models.items()) // 2
    assert same("huggingface", "titan", make("huggingface", "llama", tmp_path))["model.safetensors"] < 0.5


def test_fewer_bits_are_smaller_and_say_that_they_lose(tmp_path: Path) -> None:
    made = make("onnx", "titan", tmp_path)
    assert made.runs == {"cpu_fp32.onnx": True, "cpu_int8.onnx": False, "cpu_4bit.onnx": False}
    sizes = [made.path(file).stat().st_size for file in made.runs]
    assert sizes == sorted(sizes, reverse=True)
    assert agreement(["a", "b"], ["a", "c"]) == 0.5


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    for form in ("huggingface", "tensorrt", "runner"):
        one, two = (make(form, "ternary", tmp_path / place) for place in ("one", "two"))
        assert all(one.path(file).read_bytes() == two.path(file).read_bytes() for file in one.files), form


def test_a_llama_is_exported_for_any_number_of_rows_and_tokens(tmp_path: Path) -> None:
    made = make("pytorch", "llama", tmp_path)
    assert (made.told["least"], made.told["most"]) == (2, models.CONTEXT)
    assert same("pytorch", "llama", made) == {PROGRAM: 1.0}
    here = str(Path(__file__).parents[3]).encode()
    assert here not in made.path(PROGRAM).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("model", ["titan", "packed memory"])
def test_a_titan_is_exported(model: str, tmp_path: Path) -> None:
    made = make("pytorch", model, tmp_path)
    assert same("pytorch", model, made) == {PROGRAM: 1.0}
    assert (made.told["least"] == models.CONTEXT) == ("memory" in model)


def test_a_state_dict_is_read_back_to_the_bit_and_runs_no_code(tmp_path: Path) -> None:
    from agentforge.kit.digests import canonical_json
    from agentforge.phase8_compression.formats.packing import modes

    model = models.model("packed memory")
    torch.save(model.state_dict(), tmp_path / STATE)
    model.config.save_pretrained(tmp_path)
    (tmp_path / "ternary_layers.json").write_bytes(canonical_json(modes(model)))
    row = torch.arange(40)[None]
    assert torch.equal(load_state(tmp_path)(row).logits, model(row).logits)
    torch.save(models.model("titan").state_dict(), tmp_path / STATE)
    with pytest.raises(DataLoss, match="not of the model"):
        load_state(tmp_path)
    torch.save(Path, tmp_path / STATE)  # a class: what a pickle may run
    with pytest.raises(DataLoss, match="cannot be read"):
        load_state(tmp_path)


def test_a_package_of_other_weights_is_not_taken_over(tmp_path: Path) -> None:
    from agentforge.edge.package.archive import pack
    from agentforge.phase8_compression.formats.tensorrt import PACKAGE
    from tests.unit.edge_package import toy

    archive = tmp_path / PACKAGE
    staged = toy.stage(tmp_path / "agentforge-toy")
    pack(staged, archive)
    given = dataclasses.replace(OPTIONS, package=tmp_path)
    made = make("tensorrt", "titan", tmp_path / "one", given)
    assert PACKAGE not in made.files
    assert "other weights" in made.told["package"]
    archive.write_bytes(archive.read_bytes()[:-100])
    with pytest.raises(DataLoss):
        make("tensorrt", "titan", tmp_path / "two", given)


def test_no_engine_is_built_here(tmp_path: Path) -> None:
    asked = dataclasses.replace(OPTIONS, engine=True)
    with pytest.raises(MissingTool):
        make("tensorrt", "titan", tmp_path, asked)
    assert [each.reason for each in FORMATS["tensorrt"].fits({}, asked)] == ["MISSING_TOOL"]
