"""GGUF: what is refused, by name, and what llama.cpp makes of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentforge.kit.errors import DataLoss, InvalidInput, MissingTool, RunFailed
from agentforge.phase8_compression.formats import (
    FORMATS,
    Options,
    agreements,
    gguf,
    llamacpp,
    llamacpp_programs,
)
from agentforge.phase8_compression.formats.gguf_types import cannot
from tests import pico
from tests.unit.compression_formats import models
from tests.unit.ggufs import small

WIDE = {"model_type": "llama", "hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 512}


def reasons(described: dict[str, Any], **asked: Any) -> dict[str, str]:
    return {each.field: each.reason for each in cannot(described, Options(**asked))}


def test_a_titan_is_refused_by_its_parts() -> None:
    found = reasons(pico.titan(**models.MEMORY).config.to_dict())
    assert {"formats.gguf.memory", "formats.gguf.recursion", "formats.gguf.model_type"} <= found.keys()
    assert "formats.gguf.memory" not in reasons(pico.titan().config.to_dict())


def test_rows_that_do_not_fit_blocks_are_refused_by_layer() -> None:
    assert reasons(WIDE, gguf=("Q4_K_M", "Q8_0")) == {}
    assert reasons({**WIDE, "intermediate_size": 544}, gguf=("Q8_0", "Q4_0")) == {}
    assert reasons({**WIDE, "intermediate_size": 544}, gguf=("Q4_K_M",)) == {
        "formats.gguf.down_proj": "BLOCK_MISFIT"
    }
    assert set(reasons({**WIDE, "hidden_size": 216}, gguf=("Q8_0",)).values()) == {"BLOCK_MISFIT"}


def test_ternary_layers_are_not_rounded_twice_and_others_are_not_made_ternary() -> None:
    assert reasons(WIDE, gguf=("Q8_0",), ternary=True) == {"formats.gguf": "TERNARY_MODEL"}
    assert reasons(WIDE, gguf=("TQ2_0",)) == {"formats.gguf": "NOT_TERNARY"}
    assert reasons(WIDE, gguf=("TQ2_0",), ternary=True) == {}
    assert reasons(WIDE, gguf=("Q9",)) == {"formats.gguf": "UNKNOWN_TYPE"}


def test_without_llama_cpp_both_ways_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(llamacpp.VARIABLE, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (fault,) = llamacpp.missing("formats.gguf")
    assert fault.reason == "MISSING_TOOL"
    assert llamacpp.VARIABLE in fault.next_step
    assert "agentforge[llama]" in fault.next_step
    monkeypatch.setenv(llamacpp.VARIABLE, str(tmp_path))
    with pytest.raises(MissingTool, match="llama-quantize and no llama-server"):
        llamacpp.programs()


def llama(**fields: Any) -> Any:
    plain = {"attention_bias": False, "mlp_bias": False, "num_hidden_layers": 1, "max_position_embeddings": 128}
    return small.llama(**{**plain, **fields})


@small.needs_gguf
@small.needs_llama
def test_llama_cpp_answers_and_each_tensor_has_its_type(tmp_path: Path) -> None:
    from agentforge.train.evaluate import answers

    model, items = llama(), models.items()
    made = FORMATS["gguf"].make(model, small.codec(), tmp_path, Options(gguf=("F16", "Q4_K_M"), threads=1))
    types = {each["type"] for each in made.told["types"]["model.Q4_K_M.gguf"].values()}
    assert types == {"F32", "Q4_K", "Q6_K"}
    reference = answers(model, small.codec(), items, batch=4)
    assert len(set(reference)) > len(reference) // 2
    found = agreements(FORMATS["gguf"], made, small.codec(), items, reference, batch=4)
    assert found["model.F16.gguf"] > 0.9 > found["model.Q4_K_M.gguf"]


@small.needs_gguf
@small.needs_llama
def test_what_llama_cpp_silently_writes_otherwise_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    gguf._theirs(file, "Q4_K_M", llama(intermediate_size=544), small.codec())
    with pytest.raises(RunFailed, match=r"ffn_down\.weight Q"):
        gguf._check("model.gguf", "Q4_K_M", gguf.tensor_types(file))


@small.needs_gguf
@small.needs_llama
def test_a_ternary_llama_is_written_as_ternary_alone(tmp_path: Path) -> None:
    from agentforge.models.ternary.convert import convert

    model = llama()
    convert(model)
    with pytest.raises(InvalidInput, match="once more"):
        FORMATS["gguf"].make(model, small.codec(), tmp_path / "a", Options())
    made = FORMATS["gguf"].make(model, small.codec(), tmp_path, Options(gguf=("TQ2_0",), threads=1))
    assert {each["type"] for each in made.told["types"]["model.TQ2_0.gguf"].values()} == {"F32", "TQ2_0", "Q8_0"}
    assert len(FORMATS["gguf"].answers(made, small.codec(), models.items(), batch=1)) == len(models.items())


def test_a_server_that_ends_at_once_is_quoted(tmp_path: Path) -> None:
    program = tmp_path / "llama-server"
    program.write_text('#!/bin/sh\necho starting\necho "error: invalid argument: $7" >&2\nexit 1\n')
    program.chmod(0o755)
    file = tmp_path / "model.gguf"
    quoted = pytest.raises(DataLoss, match=r"model.gguf: it ended with 1: error: invalid argument: --no-repack")
    with quoted, llamacpp_programs.served(program, file, 64, 1):
        pass
