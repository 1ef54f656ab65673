"""A GGUF file as the third output: only of what llama.cpp can run, and only if it runs it rightly."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from agentforge.kit.config import validate_config
from agentforge.kit.errors import DataLoss, InvalidInput, Violation
from agentforge.kit.inputs import InputPath
from agentforge.models.gguf import tools
from agentforge.phase4_bitnet.admission import check
from agentforge.phase4_bitnet.config import BitNetConfig
from tests import pico
from tests.unit.bitnet.phases import ask, small

_ABSENT = [extra for package, extra in tools.EXTRAS.items() if importlib.util.find_spec(package) is None]
_HOW = f"needs the extras {_ABSENT}: pip install 'agentforge[gguf,llama]'"
needs_tools = pytest.mark.skipif(bool(_ABSENT), reason=_HOW)

WIDE = {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 4, "num_key_value_heads": 2}


QUICK: dict[str, Any] = {
    "calibration": {"thresholds": False, "sensitivity": 0}, "train": {"steps": 2, "checkpoint_every": 0},
    "data": {"families": {"nested": [2]}},
}  # fmt: skip


@pytest.fixture(scope="module")
def wide(volume: Path) -> Path:
    """Llama-shaped, of widths that blocks of 256 divide, with a tokenizer that has merges."""
    from agentforge.data.tokenizer import train_tokenizer

    tokenizer = train_tokenizer(["((())) key 12 = value  34 [{}] "] * 3, 290)
    model = pico.llama(vocab_size=290, num_hidden_layers=1, max_position_embeddings=128, **WIDE)
    return pico.save(model, volume / "mine/wide", tokenizer)


def found(directory: Path, **changes: Any) -> list[Violation]:
    config = validate_config(BitNetConfig, small(**changes))
    return check(config, [InputPath("mine", "model", directory, "")])


@needs_tools
@pytest.mark.parametrize("kind", ["TQ2_0", "TQ1_0"])
def test_the_file_is_published_with_what_was_measured(volume: Path, wide: Path, kind: str) -> None:
    run = ask(volume, f"gguf-{kind.lower()}", "wide", packing={"gguf": kind}, **QUICK).go()
    output = run.run.output_path / "gguf"
    assert {each.name for each in output.iterdir()} == {"model.gguf", "parity.json"}
    assert run.values("bitnet/gguf/ids_equal") == [1.0]
    assert run.values("bitnet/gguf/content/relative")[0] < 1e-5
    assert run.values("bitnet/gguf/arithmetic/relative")[0] < 0.1
    assert 0 < run.values("bitnet/gguf/model/kl")[0] < 0.01
    assert run.values("bitnet/gguf/size") == [(output / "model.gguf").stat().st_size]
    told = json.loads((output / "parity.json").read_bytes())
    assert told["types"] == {"dense": "F16", "ternary": kind, "embeddings": "Q8_0"}
    assert told["parity"]["content"]["relative"] == run.values("bitnet/gguf/content/relative")[0]


@needs_tools
def test_a_file_that_fails_is_not_published(volume: Path, wide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from agentforge.models.gguf import writer

    run = ask(volume, "gguf-wrong", "wide", packing={"gguf": "TQ2_0"}, **QUICK)
    monkeypatch.setattr(writer, "in_file_order", lambda weight, config: weight)
    with pytest.raises(DataLoss) as caught:
        run.go()
    assert caught.value.reason == "NO_PARITY"
    assert run.output.is_dir(), "the model itself was there before"
    assert not (run.run.output_path / "gguf").exists()
    assert not [name for name in run.names() if name.startswith("bitnet/gguf")]


def test_a_titan_is_refused_before_any_work(volume: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        ask(volume, "gguf-titan", "titan", packing={"gguf": "TQ2_0"})
    (violation,) = caught.value.violations
    assert (violation.field, violation.reason) == ("packing.gguf", "UNKNOWN_ARCHITECTURE")
    assert "agentforge_titan" in violation.message


def test_missing_tools_are_told_before_any_work(wide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools.importlib.util, "find_spec", lambda package: None)
    assert found(wide) == []
    violations = found(wide, packing={"gguf": "TQ2_0"})
    assert [each.reason for each in violations] == ["MISSING_TOOL", "MISSING_TOOL"]
    assert "agentforge[gguf]" in violations[0].next_step


@pytest.mark.parametrize(
    ("changes", "reason", "named"),
    [
        ({"ternary": {"scale": "group", "group": 128}}, "BLOCK_MISFIT", "a scale for each 128 inputs"),
        ({"ternary": {"norm": True}}, "NORM_UNKNOWN", "llama.cpp"),
        ({"packing": {"embeddings": 4}}, "EMBEDDINGS_MISFIT", "4 bits"),
    ],
)
def test_settings_that_llama_cpp_cannot_follow(
    wide: Path, changes: dict[str, Any], reason: str, named: str
) -> None:
    assert found(wide, **changes) == []
    packing = {"gguf": "TQ1_0"} | changes.get("packing", {})
    violations = [each for each in found(wide, **{**changes, "packing": packing}) if each.reason != "MISSING_TOOL"]
    assert {(each.field, each.reason) for each in violations} == {("packing.gguf", reason)}
    assert named in violations[0].message


def test_models_that_llama_cpp_cannot_read(tmp_path: Path) -> None:
    narrow = pico.save(pico.llama(), tmp_path / "narrow")
    (violation,) = found(narrow, packing={"gguf": "TQ2_0"})
    assert (violation.field, violation.reason) == ("packing.gguf", "UNKNOWN_TOKENIZER")
    assert "no merges" in violation.message
