"""What cannot be trained is refused: from its files where they tell it, else before the first step."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from agentforge.kit.config import validate_config
from agentforge.kit.errors import FailedPrecondition, ForgeError, Violation
from agentforge.kit.inputs import InputPath
from agentforge.phase5_training.admission import check
from agentforge.phase5_training.config import TrainingConfig
from tests import pico
from tests.attempts import Attempt
from tests.unit.training.phases import ask, small

Change = Callable[[Path], object]


def found(directory: Path, **changes: Any) -> list[Violation]:
    config = validate_config(TrainingConfig, small(**changes))
    return check(config, [InputPath("mine", "model", directory, "")])


def cut(file: str) -> Change:
    return lambda place: (place / file).write_bytes((place / file).read_bytes()[:20])


def without(file: str) -> Change:
    return lambda place: (place / file).unlink()


def added(file: str, text: str = "{}") -> Change:
    return lambda place: (place / file).write_text(text)


def untyped(place: Path) -> None:
    path = place / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_type": None}))


def pickled(place: Path) -> None:
    (place / "model.safetensors").rename(place / "pytorch_model.bin")


BAD: dict[str, tuple[Change, str, str]] = {
    "packed": (added("packed.safetensors", ""), "PACKED_MODEL", "no latents"),
    "pickle": (pickled, "PICKLE_REFUSED", "pytorch_model.bin"),
    "no weights": (without("model.safetensors"), "NO_WEIGHTS", "safetensors"),
    "broken weights": (cut("model.safetensors"), "BROKEN_FILE", "model.safetensors"),
    "no tokenizer": (without("tokenizer.json"), "NO_TOKENIZER", "tokenizer.json"),
    "code": (added("tokenizer_config.json", '{"auto_map": {}}'), "REMOTE_CODE_REFUSED", "code"),
    "no type": (untyped, "UNKNOWN_MODEL_TYPE", "model_type"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_models_are_refused_from_their_files(tmp_path: Path, name: str) -> None:
    change, reason, named = BAD[name]
    place = pico.save(pico.llama(), tmp_path / "it")
    assert found(place) == []
    change(place)
    (violation,) = found(place)
    assert (violation.field, violation.reason) == ("inputs.mine", reason)
    assert named in violation.message


def test_rows_beyond_the_positions(tmp_path: Path) -> None:
    place = pico.save(pico.llama(), tmp_path / "it")
    (violation,) = found(place, data={"length": 65})
    assert (violation.field, violation.reason) == ("data.length", "SEQUENCE_TOO_LONG")
    assert found(place, data={"length": 64}) == []


def fails(volume: Path, run_id: str, model: str = "llama", **changes: Any) -> tuple[Attempt, ForgeError]:
    run = ask(volume, run_id, model, **changes)
    with pytest.raises(ForgeError) as caught:
        run.go()
    assert not run.output.exists()
    return run, caught.value


def test_rows_that_do_not_fit(volume: Path) -> None:
    run, error = fails(volume, "long", data={"length": 20})
    assert (error.reason, error.field) == ("ITEM_TOO_LONG", "data.length")
    assert "forge/loss" not in run.names(), "not one step"


def test_a_loss_that_is_no_number_from_the_first_step(volume: Path) -> None:
    """It goes back and leaves batches out, as often as it may, says so each time, and then why it ends."""
    model = pico.llama()
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight.fill_(3e38)
    pico.save(model, volume / "mine/hot")
    run, error = fails(volume, "hot", "hot")
    assert isinstance(error, FailedPrecondition)
    assert error.reason == "TRAINING_DIVERGED"
    assert "the loss is nan at step 1, after 3 rewinds" in error.message
    assert run.values("forge/rewinds") == [1, 2, 3]
    assert run.logs().count("back to step 0") == 3


def test_weights_that_are_not_finite_are_named(volume: Path) -> None:
    model = pico.llama()
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[0, 0] = float("nan")
    pico.save(model, volume / "mine/broken")
    _, error = fails(volume, "broken", "broken")
    assert (error.reason, error.field) == ("NOT_FINITE", "inputs.model: model.layers.1.mlp.up_proj.weight")


def test_one_layer_has_no_state_to_predict(volume: Path) -> None:
    _, error = fails(volume, "shallow", "titan", selfmodel={"weight": 0.1})
    assert error.reason == "TOO_SHALLOW"
    assert "selfmodel" in error.field
