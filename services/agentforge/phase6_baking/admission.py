"""What is wrong with the model, the adapters and the tools of a run: told from files, without torch."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from agentforge.data.manner import Manner
from agentforge.data.tokenizer import read_backend
from agentforge.kit.checks import violations
from agentforge.kit.errors import FailedPrecondition, ForgeError, InvalidInput, Violation
from agentforge.kit.inputs import InputPath
from agentforge.phase6_baking.adapters.admission import check_adapters
from agentforge.phase6_baking.config import BakingConfig
from agentforge.phase6_baking.toolkit import describe_tools, toolbox_of
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


def check(config: BakingConfig, inputs: list[InputPath]) -> list[Violation]:
    models = [given for given in inputs if given.kind == "model"]
    adapters = [given for given in inputs if given.kind == "adapter"]
    found = [violation for given in models for violation in _model(config, given)]
    if not config.bakes and not adapters:
        message = "nothing is to be baked (cycles.most is 0), and there is no adapter to merge"
        step = "Give an adapter: --input adapter=DIR, or set cycles.most above 0."
        found.append(Violation("cycles.most", message, "NOTHING_TO_DO", step))
    if models and adapters and not found:
        found += check_adapters(models[0].path, adapters, config.adapters)
    return found


def _model(config: BakingConfig, given: InputPath) -> list[Violation]:
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
        ("data.length", partial(check_positions, config.data.length, described)),
        ("tools", partial(_check_prompts, config, directory)),
    )


def _check_prompts(config: BakingConfig, directory: Path) -> None:
    """The tools are there, and what tells of them leaves room for a question and its answer."""
    if not config.bakes:
        return
    text = describe_tools(toolbox_of(config.tools), config.tools) if config.tools.on else ""
    if config.persona.traits.wanted:
        text += Manner(config.persona.traits.wanted, config.persona.prefix).prefix
    size = len(read_backend(directory).encode(text, add_special_tokens=False).ids)
    if size >= config.data.length:
        message = (
            f"the prompts have {size:,} tokens, and a row with question and answer may have {config.data.length:,}"
        )
        step = "Raise data.length, describe tools by names (tools.describe), or shorten the prompts."
        raise InvalidInput(message, reason="PROMPT_TOO_LONG", field="tools.prompt", next_step=step)


def _check_not_packed(directory: Path) -> None:
    if (directory / PACKED).is_file():
        message = f"{directory} is packed: it has codes and scales, and no latents that baking could move"
        step = "Give the model that it was packed from: not packed."
        raise FailedPrecondition(message, reason="PACKED_MODEL", field=str(directory / PACKED), next_step=step)
