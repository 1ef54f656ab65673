"""Adapters that cannot be merged are refused from their files, each by its name."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from agentforge.kit.config import validate_config
from agentforge.kit.errors import InvalidInput, Violation
from agentforge.kit.inputs import InputPath
from agentforge.models.ternary import record
from agentforge.models.ternary.convert import convert
from agentforge.phase6_baking.adapters.admission import check_adapters
from agentforge.phase6_baking.configs.adapters import AdaptersConfig, LoraConfig
from agentforge.train.adapters import BASE, base_digest
from tests import pico
from tests.unit.baking.brought_adapters import brought

SETTINGS, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
FIRST = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
Change = Callable[[Path], object]


def found(base: Path, *adapters: Path, **fields: Any) -> list[Violation]:
    given = [InputPath(place.name, "adapter", place, "") for place in adapters]
    return check_adapters(base, given, validate_config(AdaptersConfig, fields))


def said(**settings: Any) -> Change:
    """In adapter_config.json."""

    def change(place: Path) -> None:
        path = place / SETTINGS
        path.write_text(json.dumps(json.loads(path.read_text()) | settings))

    return change


def tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    def changed(place: Path) -> None:
        held = load_file(place / WEIGHTS)
        change(held)
        save_file(held, place / WEIGHTS)

    return changed


def cut(place: Path) -> None:
    path = place / WEIGHTS
    path.write_bytes(path.read_bytes()[:-20])


def not_finite(dtype: torch.dtype, value: float) -> Change:
    def change(held: dict[str, torch.Tensor]) -> None:
        held[FIRST] = held[FIRST].to(dtype)
        held[FIRST][0, 0] = value

    return tensors(change)


def pickled(place: Path) -> None:
    (place / WEIGHTS).rename(place / "adapter_model.bin")


def another_digest(place: Path) -> None:
    (place / BASE).write_text(json.dumps({"weights": "0" * 64}))


BAD: dict[str, tuple[Change, str, str]] = {
    "no settings": (lambda place: (place / SETTINGS).unlink(), "NOT_AN_ADAPTER", SETTINGS),
    "settings cut": (lambda place: (place / SETTINGS).write_text("{"), "BROKEN_FILE", "JSON"),
    "another kind": (said(peft_type="IA3"), "NOT_LORA", "IA3"),
    "rank zero": (said(r=0), "RANK_ZERO", "rank 0"),
    "rank zero in places": (said(rank_pattern={"q_proj": 0}), "RANK_ZERO", "q_proj"),
    "no rank": (said(r=None), "RANK_ZERO", "null"),
    "rank said wrongly": (said(r=5), "BROKEN_FILE", "rank 4"),
    "another task": (said(task_type="SEQ_CLS"), "UNSUPPORTED_ADAPTER", "SEQ_CLS"),
    "whole layers": (said(modules_to_save=["lm_head"]), "UNSUPPORTED_ADAPTER", "modules_to_save"),
    "tokens": (said(trainable_token_indices=[1]), "UNSUPPORTED_ADAPTER", "trainable_token_indices"),
    "PiSSA": (said(init_lora_weights="pissa"), "UNSUPPORTED_ADAPTER", "init_lora_weights"),
    "a later PEFT": (said(some_new_thing={"a": 1}), "UNSUPPORTED_ADAPTER", "some_new_thing"),
    "no alpha": (said(lora_alpha=None), "UNSUPPORTED_ADAPTER", "lora_alpha"),
    "endless alpha": (said(alpha_pattern={"q_proj": float("nan")}), "UNSUPPORTED_ADAPTER", "lora_alpha"),
    "no pattern of alphas": (said(alpha_pattern=None), "UNSUPPORTED_ADAPTER", "alpha_pattern"),
    "no pattern of ranks": (said(rank_pattern=[]), "BROKEN_FILE", "rank_pattern"),
    "targets that are none": (said(target_modules=[1]), "UNSUPPORTED_ADAPTER", "target_modules"),
    "layers that are no targets": (said(target_modules=["q_proj"]), "BROKEN_FILE", "down_proj"),
    "biases": (said(bias="all"), "UNSUPPORTED_ADAPTER", "bias"),
    "no weights": (lambda place: (place / WEIGHTS).unlink(), "NO_WEIGHTS", WEIGHTS),
    "pickle": (pickled, "PICKLE_REFUSED", "adapter_model.bin"),
    "weights cut": (cut, "BROKEN_FILE", WEIGHTS),
    "weights empty": (lambda place: (place / WEIGHTS).write_bytes(b""), "BROKEN_FILE", WEIGHTS),
    "no B": (tensors(lambda held: held.pop(FIRST)), "WEIGHTS_INCOMPLETE", "only B"),
    "nothing": (tensors(lambda held: held.clear()), "NO_LAYERS", "no layer"),
    "embeddings": (
        tensors(lambda held: held.update({"base_model.model.lm_head.weight": torch.zeros(3)})),
        "UNSUPPORTED_ADAPTER", "lm_head",
    ),
    "infinite": (not_finite(torch.float32, float("inf")), "NOT_FINITE", "q_proj"),
    "no number": (not_finite(torch.bfloat16, float("nan")), "NOT_FINITE", "q_proj"),
    "integers": (not_finite(torch.int8, 1), "NOT_LORA", "I8"),
    "another base by digest": (another_digest, "WRONG_BASE", "other weights"),
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pico.save(pico.llama(), tmp_path_factory.mktemp("admission") / "base")


@pytest.mark.parametrize("name", BAD)
def test_bad_adapters(base: Path, tmp_path: Path, name: str) -> None:
    change, reason, named = BAD[name]
    place = brought(base, tmp_path / "mine")
    (place / BASE).write_text(json.dumps({"weights": base_digest(base)}))
    assert found(base, place) == []
    change(place)
    violations = found(base, place)
    assert {(each.field, each.reason) for each in violations} == {("inputs.mine", reason)}
    assert any(named in each.message for each in violations)


def test_all_that_is_wrong_is_told(base: Path, tmp_path: Path) -> None:
    one, other = (brought(base, tmp_path / name) for name in ("one", "other"))
    said(r=0)(one)
    said(bias="all")(other)
    not_finite(torch.float16, float("nan"))(other)
    told = [(each.field, each.reason) for each in found(base, one, other)]
    assert told == [
        ("inputs.one", "RANK_ZERO"), ("inputs.other", "UNSUPPORTED_ADAPTER"), ("inputs.other", "NOT_FINITE"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"hidden_size": 64}, "as a matrix of"),
        ({"num_hidden_layers": 1}, "no layer model.layers.1"),
        ({"num_key_value_heads": 1}, "v_proj"),
    ],
)
def test_adapters_of_another_base(base: Path, tmp_path: Path, other: dict[str, int], named: str) -> None:
    place = pico.save(pico.llama(**other), tmp_path / "other")
    (violation,) = found(place, brought(base, tmp_path / "mine"))
    assert violation.reason == "WRONG_BASE"
    assert named in violation.message
    assert str(base) in violation.message  # what it says of itself


def test_ternary_and_packed_bases(base: Path, tmp_path: Path) -> None:
    model = pico.llama()
    convert(model, ["model.layers.1.mlp.down_proj"])
    record.save(tmp_path / "ternary", model)
    adapter = brought(base, tmp_path / "mine")
    (violation,) = found(tmp_path / "ternary", adapter)
    assert (violation.reason, "down_proj, which is ternary" in violation.message) == ("TERNARY_MODEL", True)
    assert "beside" in violation.next_step
    assert found(tmp_path / "ternary", brought(base, tmp_path / "plain", target_modules=["q_proj"])) == []
    (tmp_path / "ternary" / "packed.safetensors").touch()
    (tmp_path / "ternary" / "packed.safetensors").write_bytes((base / "model.safetensors").read_bytes())
    assert [each.reason for each in found(tmp_path / "ternary", adapter)] == ["PACKED_MODEL"]


def test_shared_embeddings(base: Path, tmp_path: Path) -> None:
    for target in ("embed_tokens", "lm_head"):
        (violation,) = found(base, brought(base, tmp_path / target, target_modules=[target]))
        assert violation.reason == "TIED_EMBEDDINGS"
    untied = pico.save(pico.llama(tie_word_embeddings=False), tmp_path / "untied")
    assert found(untied, brought(untied, tmp_path / "fine", target_modules=["embed_tokens", "lm_head"])) == []


def test_weights_that_a_titan_reads_directly(tmp_path: Path) -> None:
    place = pico.save(pico.titan(memory=True, memory_layers=[0]), tmp_path / "titan")
    (violation,) = found(place, brought(place, tmp_path / "mine", target_modules=["qkv", "gates"]))
    assert (violation.reason, "gates" in violation.message) == ("UNSUPPORTED_LAYER", True)


def test_gpt2_lies_transposed(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    shape: dict[str, Any] = {
        "n_embd": 32,
        "n_layer": 1,
        "n_head": 2,
        "n_positions": 64,
        "vocab_size": len(pico.tokenizer()),
    }
    place = pico.save(GPT2LMHeadModel(GPT2Config(**shape)), tmp_path / "gpt2")
    assert found(place, brought(place, tmp_path / "mine", target_modules=["c_attn"])) == []


def test_what_peft_cannot_combine(base: Path, tmp_path: Path) -> None:
    one = brought(base, tmp_path / "one")
    wide = brought(base, tmp_path / "wide", r=6)
    pattern = brought(base, tmp_path / "pattern", target_modules=r".*\.q_proj")
    root = brought(base, tmp_path / "root", use_rslora=True)
    mixed = brought(base, tmp_path / "mixed", r=2, rank_pattern={"q_proj": 4}, target_modules=["q_proj", "v_proj"])

    def reasons(*adapters: Path, **fields: Any) -> list[tuple[str, str]]:
        return [(each.field, each.reason) for each in found(base, *adapters, **fields)]

    assert reasons(one, wide) == []
    assert reasons(one, wide, method="ties") == [("adapters.method", "DIFFERENT_RANKS")]
    assert reasons(one, mixed, method="linear") == [("adapters.method", "DIFFERENT_RANKS")]
    assert reasons(one, pattern) == [("adapters.method", "CANNOT_COMBINE")]
    assert reasons(root) == []
    assert reasons(one, root) == [("inputs.root", "CANNOT_COMBINE")]
    assert reasons(root, weights=[0.5]) == [("inputs.root", "CANNOT_COMBINE")]
    assert reasons(one, wide, weights=[1.0]) == [("adapters.weights", "WRONG_WEIGHTS")]


@pytest.mark.parametrize(
    "fields", [{"density": 0}, {"density": 1.1}, {"weights": [101]}, {"weights": ["1"]}, {"method": "svd"}]
)
def test_settings_out_of_bounds(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        validate_config(AdaptersConfig, fields)


def test_rank_zero_is_refused_by_its_field() -> None:
    with pytest.raises(InvalidInput, match=r"adapter\.rank: input should be greater than or equal to 1"):
        validate_config(LoraConfig, {"rank": 0}, prefix="adapter")


def test_admission_needs_no_torch() -> None:
    program = (
        "import agentforge.phase6_baking.adapters.admission, sys; print({'torch', 'peft'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
