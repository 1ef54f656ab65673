"""What is wrong with the model or the wishes of a run: told from files, without torch."""

from __future__ import annotations

import importlib.util
import os
from functools import partial
from pathlib import Path
from typing import Any

from agentforge.edge.package.signing import load_private_key
from agentforge.kit.checks import violations
from agentforge.kit.errors import FailedPrecondition, ForgeError, InvalidInput, MissingTool, Violation
from agentforge.kit.inputs import InputPath
from agentforge.phase7_adas.config import AdasConfig
from agentforge.phase7_adas.configs.driving import PACKAGES
from agentforge.train.directory import (
    PACKED,
    check_kind,
    check_no_adapter,
    check_own_tokenizer,
    check_positions,
    check_weights,
    model_directory,
    positions,
    read_json,
    tensor_shapes,
    text_part,
)

KEY_VARIABLE = "AGENTFORGE_SIGNING_KEY"
"""Environment: the file that holds the private key. A key has no place in a config, which is kept with the run."""
_MOST_TOKENS = 2**31 - 1  # engines index with int32


def check(config: AdasConfig, inputs: list[InputPath]) -> list[Violation]:
    found = [violation for given in inputs for violation in _model(config, given)]
    own = violations(("package.sign", partial(_check_key, config)), ("drive", partial(_check_drive, config)))
    return [*found, *own]


def signing_key(config: AdasConfig) -> Any:
    """None where nothing is to be signed."""
    if not config.package.sign:
        return None
    place = os.environ.get(KEY_VARIABLE)
    if not place:
        message = f"the package is to be signed, and {KEY_VARIABLE} names no key"
        step = "Set it to a file with an ed25519 private key (openssl genpkey -algorithm ed25519)."
        raise FailedPrecondition(message, reason="NO_KEY", field="package.sign", next_step=step)
    return load_private_key(Path(place))


def _check_key(config: AdasConfig) -> None:
    signing_key(config)


def _check_drive(config: AdasConfig) -> None:
    absent = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if config.drive is not None and absent:
        message = f"driving needs {', '.join(absent)}, which is not installed"
        raise MissingTool(
            message, field="drive", next_step="pip install 'agentforge[drive]', or set drive to null."
        )


def _model(config: AdasConfig, given: InputPath) -> list[Violation]:
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
        (given.field, partial(_check_vocabulary, described)),
        (given.field, partial(_check_memory, described)),
        (given.field, partial(check_own_tokenizer, directory)),
        ("data.length", partial(check_positions, config.data.length, described)),
        ("export.context", partial(_check_context, config, described)),
    )


def _check_not_packed(directory: Path) -> None:
    if (directory / PACKED).is_file():
        message = f"{directory} is packed: it has codes and scales, and no latents that a search could train"
        step = "Give the model that it was packed from."
        raise FailedPrecondition(message, reason="PACKED_MODEL", field=str(directory / PACKED), next_step=step)


def _check_vocabulary(described: dict[str, Any]) -> None:
    size = text_part(described).get("vocab_size")
    if isinstance(size, int) and size > _MOST_TOKENS:
        message = f"the vocabulary of {size:,} tokens is beyond int32, which engines index with"
        raise InvalidInput(message, reason="CANNOT_EXPORT", field="vocab_size", next_step="Take a smaller one.")


def _check_memory(described: dict[str, Any]) -> None:
    """A rule of models/memory_titan.py that another runtime cannot follow to the number."""
    if described.get("memory") and described.get("memory_write") == "random":
        message = "memory_write is random: a runtime elsewhere cannot draw the same numbers"
        step = "Take a model with surprise_novelty or fifo."
        raise InvalidInput(message, reason="CANNOT_EXPORT", field="memory_write", next_step=step)


def _check_context(config: AdasConfig, described: dict[str, Any]) -> None:
    most, asked = positions(described), config.export.context
    if asked is not None and most is not None and asked > most:
        message = f"texts of {asked:,} tokens are longer than the {most:,} positions of the model"
        step = f"Take {most:,} or less, or null."
        raise InvalidInput(message, reason="CONTEXT_TOO_LONG", field="export.context", next_step=step)
