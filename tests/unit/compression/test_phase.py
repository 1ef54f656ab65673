"""The whole phase on pico models: what goes out is what was judged, in every format, to the byte after a kill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from agentforge.codecs.container import FILE
from agentforge.kit.errors import FailedPrecondition, RunFailed
from agentforge.phase8_compression.agents import packager
from agentforge.train.loading import load_model
from tests.attempts import Attempt
from tests.unit.compression.phases import ask

ARTIFACTS, REPORT = "final_artifacts", "compression_report"


def record(run: Attempt, *parts: str) -> Any:
    return json.loads(run.run.output_path.joinpath(*parts).read_text())


def test_the_model_is_one_small_file_that_loads_as_any_model(titan: Attempt) -> None:
    assert {FILE, "config.json", "tokenizer.json", "README.md", "training.json", "pareto_front.json"} <= set(
        titan.files
    )
    assert not any(name.endswith(".safetensors") for name in titan.files)
    loaded = load_model(titan.output)
    assert loaded.model(torch.tensor([[30, 40]])).logits.isfinite().all()
    [size] = titan.values("compression/file_bytes")
    assert size == len(titan.files[FILE])
    [ratio] = titan.values("compression/compression_ratio")
    parameters = titan.values("compression/input/parameters")[0]
    assert ratio == pytest.approx(4 * sum(p.numel() for p in loaded.model.parameters()) / size, rel=0.2)
    assert parameters * 4 / size == pytest.approx(ratio, rel=0.1)  # buffers aside


def test_the_front_says_what_every_candidate_was_worth(titan: Attempt) -> None:
    told = record(titan, REPORT, "pareto_front.json")
    assert [one["number"] for one in told["candidates"]] == list(range(4))
    assert told["candidates"][0]["genes"] == {gene: values[0] for gene, values in told["space"].items()}
    assert told["chosen"] in [one["number"] for one in told["front"]]
    assert all(one["bytes"] < told["input_bytes"] for one in told["candidates"][1:])
    assert set(told["not_in_space"]) == {"heads"}


def test_every_format_answers_as_pytorch_and_is_listed_with_its_digest(titan: Attempt) -> None:
    told = record(titan, ARTIFACTS, "artifacts.json")
    assert {"huggingface", "onnx"} <= set(told["formats"])
    assert titan.values("compression/formats/huggingface/model.safetensors/same_answers") == [1.0]
    assert titan.values("compression/formats/onnx/cpu_fp32.onnx/same_answers") == [1.0]


def test_the_weights_in_other_formats_are_those_of_the_file(titan: Attempt) -> None:
    own = load_model(titan.output).model
    other = load_model(titan.run.output_path / ARTIFACTS / "huggingface").model
    ids = torch.tensor([[30, 31, 32, 33]])
    assert torch.equal(own(ids).logits, other(ids).logits)


def test_killed_amid_search_and_training_it_ends_with_the_same_bytes(volume: Path, titan: Attempt) -> None:
    run = ask(volume, "killed").killed_at_checkpoints([1, 2]).go()
    assert run.files == titan.files
    assert record(run, ARTIFACTS, "artifacts.json") == record(titan, ARTIFACTS, "artifacts.json")


def test_an_unreachable_target_says_the_nearest_that_is_reachable(volume: Path) -> None:
    run = ask(volume, "tiny", target={"max_bytes": 10, "min_retention": None})
    with pytest.raises(FailedPrecondition, match="the nearest, number") as refused:
        run.go()
    assert refused.value.field == "target.max_bytes"
    assert not run.output.exists()


def test_a_file_that_answers_otherwise_is_never_handed_out(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packager, "agreement", lambda said, reference: 0.5)
    run = ask(volume, "apart", "llama", strategy="quantisation", search={"trials": 2, "batch": 2}, final=None)
    with pytest.raises(RunFailed, match=r"50\.0%") as failed:
        run.go()
    assert failed.value.reason == "FORMAT_DIFFERS"
    assert not (run.run.output_path / ARTIFACTS).exists()


@pytest.mark.slow
def test_a_llama_goes_the_seeds_way(volume: Path) -> None:
    """Fewer tokens, vector codebooks, points on a trajectory: and the file still loads."""
    run = ask(
        volume, "seeds", "llama", strategy="seeds", final=None, healing=None,
        search={"trials": 6, "batch": 3}, target={"min_retention": None}, formats={"make": ["huggingface"]},
    ).go()  # fmt: skip
    told = record(run, REPORT, "pareto_front.json")
    for gene in ("embeddings", "linears"):
        assert {"seedlm3", "vptq2", "hyper8"} <= set(told["space"][gene])
        assert "grid4" not in told["space"][gene]
    tried = {each["genes"]["embeddings"] for each in told["candidates"]}
    assert tried & {"seedlm3", "seedlm4", "vptq2", "vptq4", "hyper4", "hyper8"}
    assert load_model(run.output).model is not None


def test_a_student_is_made_and_told_by_its_size(volume: Path) -> None:
    students = {"small": {"layers": 1, "hidden": 16, "heads": 2, "intermediate": 16}}
    training = {"steps": 3, "batch": 4, "warmup": 0, "threads": 1, "checkpoint_every": 1}
    run = ask(
        volume, "student", strategy="distillation", final=None, space={"embeddings": ["grid4"]},
        distillation={"students": students, "train": training}, search={"trials": 2, "batch": 2},
        target={"max_bytes": 12_000, "min_retention": None}, formats={"make": ["huggingface"]},
    ).go()  # fmt: skip
    assert record(run, REPORT, "compression_report.json")["genes"]["student"] == "small"
    assert run.values("compression/parameters")[0] < run.values("compression/input/parameters")[0] / 2
    assert run.values("compression/file_bytes")[0] <= 12_000
