"""What is wrong with the model or the wishes of a run: told from files, without torch."""

from __future__ import annotations

import importlib.util
from functools import partial
from pathlib import Path

from agentforge.data.tokenizer import SMALLEST_VOCABULARY
from agentforge.kit.checks import violations
from agentforge.kit.errors import ForgeError, InvalidInput, MissingTool, Violation
from agentforge.kit.inputs import InputPath
from agentforge.phase8_compression.config import CompressionConfig
from agentforge.phase8_compression.formats import Options
from agentforge.phase8_compression.making import unfit
from agentforge.train.directory import (
    TERNARY,
    check_kind,
    check_no_adapter,
    check_own_tokenizer,
    check_positions,
    check_weights,
    model_directory,
    read_json,
    tensor_shapes,
)

_WITH_VOCABULARY = ("hybrid", "distillation", "seeds")


def check(config: CompressionConfig, inputs: list[InputPath]) -> list[Violation]:
    found = [violation for given in inputs if given.kind == "model" for violation in _model(config, given)]
    return [
        *found,
        *violations(("search", _check_optuna), ("space.vocabulary", partial(_check_vocabulary, config))),
    ]


def _model(config: CompressionConfig, given: InputPath) -> list[Violation]:
    try:
        directory = model_directory(given.path)
        described = read_json(directory / "config.json")
        check_weights(directory)
        check_no_adapter(directory)
        tensor_shapes(directory)
    except ForgeError as error:
        return error.at(given.field)
    return [
        *violations(
            (given.field, partial(check_kind, described)),
            (given.field, partial(check_own_tokenizer, directory)),
            ("data.length", partial(check_positions, config.data.length, described)),
        ),
        *unfit(described, config.formats, _options(config, directory)),
    ]


def _options(config: CompressionConfig, directory: Path) -> Options:
    return Options(
        context=config.data.length, ternary=(directory / TERNARY).is_file(), gguf=tuple(config.formats.gguf)
    )


def _check_optuna() -> None:
    if importlib.util.find_spec("optuna") is None:
        message = "the search is Optuna's, which is not installed"
        raise MissingTool(message, field="optuna", next_step="Install it: pip install 'agentforge[compression]'.")


def _check_vocabulary(config: CompressionConfig) -> None:
    small = [size for size in config.space.vocabulary if size < SMALLEST_VOCABULARY]
    if small and config.strategy in _WITH_VOCABULARY:
        message = f"a vocabulary of {min(small):,} cannot hold every byte and special token"
        step = f"Take {SMALLEST_VOCABULARY} or more."
        raise InvalidInput(message, reason="VOCABULARY_TOO_SMALL", field="space.vocabulary", next_step=step)
