"""The whole phase by real workers, at a size of seconds: outputs, kills, cancellation, bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from agentforge.kit.checkpoints import Checkpoints
from agentforge.kit.config import resolved, validate_config
from agentforge.kit.context import PhaseContext
from agentforge.kit.errors import ForgeError
from agentforge.kit.inputs import InputPath, Inputs
from agentforge.kit.phase import load_object
from agentforge.kit.rundir import RunDirectory, RunRequest
from agentforge.kit.state import RunSummary
from agentforge.phase1_cognate import phase
from agentforge.phase1_cognate.config import CognateConfig
from tests.workers import kill_when, start_worker, succeed, until, works_at

ENTRY = "agentforge.phase1_cognate.config:PHASE"
OUTPUTS = ("adaptive_computation", "memory_integration", "reasoning", "trunk")
PLAIN = {"memory": False, "act": False, "recursion": False, "persistent_tokens": 0}


def tiny(**changes: Any) -> dict[str, Any]:
    """Seven steps a stage: nothing is learned, everything is gone through."""
    train = {"steps": 7, "batch": 4, "warmup": 2, "checkpoint_every": 3, "threads": 1}
    return {
        "model": {"size": "tiny", "num_hidden_layers": 1, **PLAIN, "embedding_std": 0.1},
        "data": {"vocabulary": 320, "every": 40, "corpus": "docstrings", "text_length": 24, "task_length": 32},
        "trunk": {"train": train, "mix": {"text": 1, "arithmetic": 1, "recall_drill": 1, "nested_drill": 1}},
        "reasoning": {"train": train, "mix": {"arithmetic": 1}},
        "memory_integration": {"train": train, "mix": {"recall": 1}, "family": "recall", "seed": 1337},
        "adaptive_computation": {"train": train, "mix": {"nested": 1}, "family": "nested", "seed": 2023},
        "evaluation": {"items": 12, "texts": 2, "text_bytes": 300},
        **changes,
    }


def ask(home: Path, run_id: str, **changes: Any) -> RunDirectory:
    home.mkdir(exist_ok=True)
    spec = load_object(ENTRY)
    run = RunDirectory(home, run_id, spec.name)
    values = resolved(validate_config(spec.config, tiny(**changes)))
    run.create(RunRequest(run_id, spec.name, (), values, spec.code_digest, ENTRY))
    return run


def digests(run: RunDirectory) -> dict[str, str]:
    return {name: ref.sha256 for name, ref in RunSummary.of_log(run.log_path).outputs.items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    run = ask(tmp_path_factory.mktemp("volume") / "home", "whole")
    succeed(run)
    return run


def test_three_models_and_their_trunk_with_card_and_tokenizer(whole: RunDirectory) -> None:
    assert sorted(digests(whole)) == sorted(OUTPUTS)
    assert len(set(digests(whole).values())) == 4
    for name in OUTPUTS:
        directory = whole.output_path / name
        record = json.loads((directory / "training.json").read_text())
        assert [point["step"] for point in record["curves"]["trunk"]] == list(range(1, 8))
        assert record["tokenizer"]
        card = (directory / "README.md").read_text()
        assert f"cognate/{name}/accuracy/recall" in card
        assert "| 12 |" in card


def test_what_is_saved_is_what_hugging_face_loads(whole: RunDirectory) -> None:
    """In a clean process, which knows nothing of this project but the directory."""
    code = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer
place = sys.argv[1]
tokenizer = AutoTokenizer.from_pretrained(place)
model = AutoModelForCausalLM.from_pretrained(place, trust_remote_code=True)
assert not any(name.startswith("agentforge") for name in sys.modules)
ids = tokenizer("Q: 12 + 34 = A:", return_tensors="pt").input_ids
print(model.generate(ids, max_new_tokens=3, do_sample=False).shape[1] - ids.shape[1])
"""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, "-c", code, str(whole.output_path / "reasoning")]
    found = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert found.returncode == 0, found.stderr
    assert int(found.stdout.split()[-1]) in (1, 2, 3)


def test_specialists_differ_in_threshold_and_capacity_and_not_in_shape(whole: RunDirectory) -> None:
    configs = {name: json.loads((whole.output_path / name / "config.json").read_text()) for name in OUTPUTS}
    assert configs["reasoning"]["hidden_size"] == configs["memory_integration"]["hidden_size"]
    assert configs["reasoning"]["act_threshold"] == 0.95
    sizes = {(whole.output_path / name / "model.safetensors").stat().st_size for name in OUTPUTS}
    assert len(sizes) == 1


@pytest.mark.parametrize("message", ["memory_integration", "measuring reasoning"])
def test_killed_in_any_stage_it_ends_with_the_same_digests(whole: RunDirectory, message: str) -> None:
    run = ask(whole.home, f"killed-{message.replace(' ', '-')}")
    kill_when(run, works_at(message))
    succeed(run)
    assert digests(run) == digests(whole)


def test_cancelled_it_writes_a_checkpoint_and_stops(whole: RunDirectory) -> None:
    long = {"steps": 100_000, "batch": 4, "checkpoint_every": 0, "threads": 1}
    run = ask(whole.home, "cancelled", trunk={"train": long, "mix": {"arithmetic": 1}})
    worker = start_worker(run)
    until(run, lambda record: "progress" in record)
    run.request_cancel("enough")
    assert worker.wait(60) == 0
    assert RunSummary.of_log(run.log_path).state == "RUN_STATE_CANCELLED"
    assert list(run.checkpoints_path.glob("step-*"))


def test_sigterm_leaves_a_run_that_can_be_resumed(whole: RunDirectory) -> None:
    run = ask(whole.home, "interrupted")
    worker = start_worker(run)
    until(run, lambda record: "progress" in record)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 75
    succeed(run)
    assert digests(run) == digests(whole)


def test_independent_starts_share_no_weights(whole: RunDirectory) -> None:
    run = ask(whole.home, "independent", init="independent")
    succeed(run)
    assert digests(run)["trunk"] != digests(run)["reasoning"] != digests(whole)["reasoning"]


class Alone:
    """A context for what fails before the first step."""

    def __init__(self, home: Path, corpus: Path | None = None) -> None:
        self.home = home
        self.checkpoints = Checkpoints(home / "checkpoints")
        given = [] if corpus is None else [InputPath("corpus", "corpus", corpus, "")]
        self.inputs = Inputs({"corpus": given})


def refused(context: Alone, changes: dict[str, Any]) -> ForgeError:
    config = validate_config(CognateConfig, tiny(**changes))
    with pytest.raises(ForgeError) as caught:
        phase.run(cast(PhaseContext, context), config)
    assert context.checkpoints.count() == 0
    return caught.value


@pytest.mark.parametrize("content", [b"", b"x", bytes(range(256)) * 40])
def test_a_corpus_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    """Empty, of one byte, and binary."""
    given = tmp_path / "given"
    given.mkdir()
    (given / "corpus.txt").write_bytes(content)
    error = refused(Alone(tmp_path, given), {})
    assert error.http_status < 500
    assert "corpus" in str(error) or "files" in str(error)


def test_a_vocabulary_that_cannot_be_filled_is_told_before_training(tmp_path: Path) -> None:
    data = {"vocabulary": 300_000, "every": 40, "corpus": "docstrings", "text_length": 24, "task_length": 24}
    changes = {"data": data}
    assert refused(Alone(tmp_path), changes).reason == "VOCABULARY_TOO_LARGE"
