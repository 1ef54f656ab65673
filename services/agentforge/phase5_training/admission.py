"""What is wrong with the model, the text and the tokens of a run: told from files, without torch."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from agentforge.kit.checks import violations
from agentforge.kit.errors import FailedPrecondition, ForgeError, Violation
from agentforge.kit.inputs import InputPath
from agentforge.phase5_training.config import TrainingConfig
from agentforge.phase5_training.given import check_given
from agentforge.train.directory import (
    PACKED,
    check_kind,
    check_no_adapter,
    check_own_tokenizer,
    check_positions,
    check_weights,
    model_directory,
    read_json,
    tensor_shapes,
)


def check(config: TrainingConfig, inputs: list[InputPath]) -> list[Violation]:
    models = [given for given in inputs if given.kind == "model"]
    found = [violation for given in models for violation in _model(config, given)]
    return [*found, *check_given(config.data, inputs)]


def _model(config: TrainingConfig, given: InputPath) -> list[Violation]:
    try:
        directory = model_directory(given.path)
        described = read_json(directory / "config.json")
        _check_not_packed(directory)
        check_weights(directory)
        check_no_adapter(directory)
        tensor_shapes(directory)
    except ForgeError as error:
        return error.at(given.field)
    return violations(
        (given.field, partial(check_kind, described)),
        (given.field, partial(check_own_tokenizer, directory)),
        ("data.length", partial(check_positions, max(config.data.length, config.data.row), described)),
    )


def _check_not_packed(directory: Path) -> None:
    if (directory / PACKED).is_file():
        message = f"{directory} is packed: it has codes and scales, and no latents that training could move"
        step = "Give the model that it was packed from: bitnet's output model, not packed."
        raise FailedPrecondition(message, reason="PACKED_MODEL", field=str(directory / PACKED), next_step=step)
