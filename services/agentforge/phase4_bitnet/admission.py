"""What is wrong with the model that is to be ternary: told from its files, without torch."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from agentforge.kit.checks import violations
from agentforge.kit.errors import FailedPrecondition, ForgeError, InvalidInput, Violation
from agentforge.kit.inputs import InputPath
from agentforge.models.fields_titan import MODEL_TYPE
from agentforge.models.ternary.groups import misfit
from agentforge.phase4_bitnet.config import BitNetConfig
from agentforge.phase4_bitnet.exportable import check_gguf
from agentforge.train.directory import (
    PACKED,
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

_TITANS = (
    "qkv",
    "o",
    "gate",
    "up",
    "down",
    "q",
    "kv",
)  # models/ternary/convert.py tells them by what they belong to


def check(config: BitNetConfig, inputs: list[InputPath]) -> list[Violation]:
    return [violation for given in inputs for violation in _model(config, given)]


def _model(config: BitNetConfig, given: InputPath) -> list[Violation]:
    try:
        directory = model_directory(given.path)
        described = read_json(directory / "config.json")
        check_not_ternary(directory)
        check_weights(directory)
        check_no_adapter(directory)
        widths = _widths(directory, titan=described.get("model_type") == MODEL_TYPE)
    except ForgeError as error:
        return error.at(given.field)
    return violations(
        (given.field, partial(check_kind, described)),
        (given.field, partial(check_own_tokenizer, directory)),
        (given.field, partial(_check_layers, directory, widths)),
        ("ternary.group", partial(_check_groups, config.ternary.group, widths)),
        ("data.length", partial(check_positions, config.data.length, described)),
        ("packing.gguf", partial(check_gguf, config, directory, described, widths)),
    )


def check_not_ternary(directory: Path) -> None:
    """Its latents were trained to be ternary in one way: with other scales they would be rounded a second time."""
    for file in (TERNARY, PACKED):
        if (directory / file).is_file():
            message = f"{directory} is ternary already: it has a {file}"
            step = "Give the model that it was made from; later phases take this one as it is."
            raise FailedPrecondition(message, reason="ALREADY_TERNARY", field=str(directory), next_step=step)


def _check_layers(directory: Path, widths: dict[str, int]) -> None:
    if not widths:
        message = f"{directory} has no layer that can be ternary (q_proj to down_proj, as Llama's are named)"
        raise InvalidInput(message, reason="NO_LAYERS", field=str(directory), next_step="Give a Titan or a Llama.")


def _check_groups(group: int, widths: dict[str, int]) -> None:
    found = (misfit(name, width, group) for name, width in sorted(widths.items()))
    misfits = [each for each in found if each is not None]
    if misfits:
        raise InvalidInput.of(misfits)


def _widths(directory: Path, *, titan: bool) -> dict[str, int]:
    """Inputs of each layer that will be ternary, by its name."""
    found: dict[str, int] = {}
    for name, shape in tensor_shapes(directory).items():
        layer, _, own = name.rpartition(".")
        last = layer.rpartition(".")[2]
        if own == "weight" and len(shape) == 2 and (last in _TITANS if titan else last.endswith("_proj")):
            found[layer] = shape[1]
    return found
