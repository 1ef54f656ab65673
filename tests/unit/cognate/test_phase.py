"""The whole phase in seconds: outputs, kills, stops, bad input. tests/contract runs it by real workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from agentforge.kit.checkpoints import Checkpoints
from agentforge.kit.config import validate_config
from agentforge.kit.context import PhaseContext, RunStopped
from agentforge.kit.errors import ForgeError
from agentforge.kit.inputs import InputPath, Inputs
from agentforge.kit.rundir import RunDirectory
from agentforge.phase1_cognate import phase
from agentforge.phase1_cognate.config import CognateConfig
from tests.attempts import Killed, Record
from tests.unit.cognate.phases import OUTPUTS, ask, digests, tiny


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return ask(tmp_path_factory.mktemp("volume") / "home", "whole").go().run


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

    def fate(kind: str, payload: Record) -> None:
        if payload.get("message") == message:
            raise Killed

    with pytest.raises(Killed):
        run.go(fate)
    assert digests(run.again().go().run) == digests(whole)


def test_stopped_it_writes_a_checkpoint_and_can_be_resumed(whole: RunDirectory) -> None:
    run = ask(whole.home, "stopped")

    def fate(kind: str, payload: Record) -> None:
        if kind == "progress" and payload["message"] == "trunk":
            run.stop.terminate()

    with pytest.raises(RunStopped):
        run.go(fate)
    assert Checkpoints(run.run.checkpoints_path).newest_step() in range(1, 7)
    assert digests(run.again().go().run) == digests(whole)


def test_independent_starts_share_no_weights(whole: RunDirectory) -> None:
    run = ask(whole.home, "independent", init="independent").go().run
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
