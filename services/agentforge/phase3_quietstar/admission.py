"""What is wrong with the model that is to think: told from its files, without torch and before a weight is read."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from agentforge.data.tokenizer import THOUGHT_CLOSE, THOUGHT_OPEN, read_backend
from agentforge.kit.checks import violations
from agentforge.kit.errors import ForgeError, InvalidInput, Violation
from agentforge.kit.inputs import InputPath
from agentforge.models.fields_titan import MODEL_TYPE, TitanFields
from agentforge.models.thoughts.room import LARGEST_VOCABULARY, check_meaning, check_room, check_vocabulary
from agentforge.phase3_quietstar.config import QuietStarConfig
from agentforge.train.directory import (
    check_kind,
    check_no_adapter,
    check_not_ternary,
    check_weights,
    model_directory,
    positions,
    read_json,
    refuse_code,
    text_part,
)

_NAMED = ("bos_token", "eos_token", "pad_token", "unk_token")
_LISTS = ("additional_special_tokens", "extra_special_tokens")


def check(config: QuietStarConfig, inputs: list[InputPath]) -> list[Violation]:
    return [violation for given in inputs for violation in _model(config, given)]


def _model(config: QuietStarConfig, given: InputPath) -> list[Violation]:
    try:
        directory = model_directory(given.path)
        described = read_json(directory / "config.json")
    except ForgeError as error:
        return error.at(given.field)
    return violations(
        (given.field, partial(check_kind, described)),
        (given.field, partial(check_not_ternary, directory)),
        (given.field, partial(check_no_adapter, directory)),
        (given.field, partial(check_weights, directory)),
        (given.field, partial(_check_tokenizer, directory)),
        ("sampling.length", partial(check_room, config.data.length, config.sampling.length, _window(described))),
        ("data.length", partial(_check_positions, config, described)),
    )


def _check_tokenizer(directory: Path) -> None:
    tokenizer, settings = read_backend(directory), _settings(directory)
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
    special |= {_text(token) for name in _LISTS for token in settings.get(name) or []}
    named = {_text(settings.get(name)) for name in _NAMED}
    new = []
    for mark in (THOUGHT_OPEN, THOUGHT_CLOSE):
        number = tokenizer.token_to_id(mark)
        if number is None:
            new.append(mark)
        else:
            check_meaning(mark, number, special=mark in special, named=mark in named)
    check_vocabulary(tokenizer.get_vocab_size(), new, LARGEST_VOCABULARY)


def _settings(directory: Path) -> dict[str, Any]:
    """What transformers adds to tokenizer.json; its older versions wrote the names of special tokens apart."""
    found: dict[str, Any] = {}
    for file in (directory / "special_tokens_map.json", directory / "tokenizer_config.json"):
        if file.is_file():
            found |= read_json(file)
            refuse_code(file, found)
    return found


def _text(token: Any) -> Any:
    """A token is written as its text, or as an object with its `content`."""
    return token.get("content") if isinstance(token, dict) else token


def _window(described: dict[str, Any]) -> int | None:
    """Tokens that every layer of the model sees; None: all, or it differs by layer."""
    if described.get("model_type") == MODEL_TYPE:
        window = described.get("sliding_window", TitanFields.sliding_window)
    else:
        text = text_part(described)
        slides = text.get("use_sliding_window", True)
        kinds = set(text.get("layer_types") or ["sliding_attention"])
        window = text.get("sliding_window") if slides and kinds == {"sliding_attention"} else None
    return window if isinstance(window, int) else None


def _check_positions(config: QuietStarConfig, described: dict[str, Any]) -> None:
    context = positions(described)
    tokens, thought = config.data.length, config.sampling.length + 2
    reached = tokens + thought + config.ahead
    if context is not None and reached > context:
        message = (
            f"rows of {tokens} tokens, a thought of {thought} with its marks and {config.ahead} tokens after it "
            f"reach {reached:,} positions, and the model has {context:,}"
        )
        step = "Take shorter rows or shorter thoughts."
        raise InvalidInput(message, reason="SEQUENCE_TOO_LONG", field="data.length", next_step=step)
