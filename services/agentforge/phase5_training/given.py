"""What is wrong with the text and tokens that a user brings: told from the files' beginnings, without torch."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agentforge.data.admission import Reading, check_text
from agentforge.data.prepare import MANIFEST
from agentforge.data.sources.roots import find_files
from agentforge.data.splits import Split
from agentforge.data.tokenizer import read_backend
from agentforge.data.tokens import BLOCK, SUFFIXES, OpenShards, TokenShards, Windows
from agentforge.kit.errors import DataLoss, ForgeError, InvalidInput, Violation
from agentforge.kit.inputs import InputPath
from agentforge.phase5_training.configs.data import TEXT, TOKENS, DataConfig
from agentforge.train.directory import model_directory, read_json

CORPUS = "corpus"  # kinds of inputs, beside TOKENS

_SPLITS = (Split.TRAIN, Split.SELECTION, Split.TEST)
_PART = re.compile(r"(.*?)[-_.](\d+)-of-(\d+)$")  # as data sets name the parts of one whole
_WAYS_OUT = {
    "PICKLE_REFUSED": "The option is data.allow_pickle.",
    "TOO_MANY_BROKEN_LINES": "The limit is data.broken_lines: so many are left out, and told in the run's log.",
    "NO_FIELD": "Or name yours in data.text_field or data.token_field.",
}


def check_given(data: DataConfig, inputs: list[InputPath]) -> list[Violation]:
    corpus = [each for each in inputs if each.kind == CORPUS]
    tokens = [each for each in inputs if each.kind == TOKENS]
    reading = Reading(data.text_field, data.broken_lines, data.allow_pickle, data.filter, _SPLITS)
    found = check_text(corpus, reading)
    for given in tokens:
        found += _check_tokens(data, given, _vocabulary(inputs))
    try:
        check_mix(data, {name for name, some in ((TEXT, corpus), (TOKENS, tokens)) if some})
    except InvalidInput as error:
        found += error.at("data.mix")
    return [_with_way_out(each) for each in found]


def check_mix(data: DataConfig, given: set[str]) -> None:
    """What is to be trained on is there, and what is there is trained on."""
    named = set(data.weights(given)) & {TEXT, TOKENS}
    if lacking := sorted(named - given):
        slot = CORPUS if lacking[0] == TEXT else TOKENS
        message = f"data.mix names {lacking[0]}, and no {slot} was given"
        step = f"Give {slot}, or leave {lacking[0]} out."
        raise InvalidInput(message, reason="NOT_GIVEN", field="data.mix", next_step=step)
    if unused := sorted(given - named):
        message = f"{unused[0]} was given, and has the weight 0 in data.mix"
        step = "Give it a weight there, or do not bring it."
        raise InvalidInput(message, reason="NOT_USED", field="data.mix", next_step=step)


def _check_tokens(data: DataConfig, given: InputPath, vocabulary: int | None) -> list[Violation]:
    try:
        prepared = (given.path / MANIFEST).is_file()
        files = _recorded(given.path) if prepared else find_files([given.path], given.path.parent, SUFFIXES)
        _check_parts(files)
    except ForgeError as error:
        return error.at(given.field)
    shards = OpenShards(1, field=data.token_field, allow_pickle=data.allow_pickle)
    found: list[Violation] = []
    for file in files:
        try:
            _check_ids(file, shards.get(file), vocabulary)
        except ForgeError as error:
            found += error.at(given.field)
    if not found and not prepared:
        found = _too_few(files, shards, data.row, given)
    return found


def _recorded(directory: Path) -> list[Path]:
    """The shards of prepared tokens, as long as they were when the record was made."""
    try:
        splits = read_json(directory / MANIFEST)["splits"]
        recorded = [each for part in splits.values() for each in part["shards"]]
        shards = [(directory / each["file"], int(each["tokens"])) for each in recorded]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"{directory / MANIFEST} is no record of token shards: {error!r}"
        step = "Prepare the tokens again."
        raise DataLoss(message, reason="BROKEN_FILE", field=MANIFEST, next_step=step) from None
    for file, tokens in shards:
        _check_recorded(file, tokens, directory)
    return [file for file, _ in shards]


def _check_recorded(file: Path, tokens: int, directory: Path) -> None:
    if not file.resolve().is_relative_to(directory.resolve()):
        state = "is not inside the folder"
    elif not file.is_file():
        state = "is missing"
    elif (found := len(OpenShards(1).get(file))) != tokens:
        state = f"has {found:,} tokens, not the {tokens:,} that were written"
    else:
        return
    step = "Copy the whole folder again, or prepare the tokens again."
    raise DataLoss(f"the shard {file} {state}", reason="SHARD_BROKEN", field=str(file), next_step=step)


def _check_parts(files: Sequence[Path]) -> None:
    """Where names say of how many parts a file is one, all of them are there."""
    parts: dict[tuple[Path, str, int], set[int]] = defaultdict(set)
    for file in files:
        if found := _PART.match(file.stem):
            parts[file.parent, found[1], int(found[3])].add(int(found[2]))
    for (folder, name, count), numbers in parts.items():
        if len(numbers) < count:
            message = f"{folder}: {name} has {len(numbers):,} of {count:,} shards"
            step = "Bring the others, or rename these."
            raise InvalidInput(message, reason="SHARDS_MISSING", field=str(folder), next_step=step)


def _check_ids(file: Path, array: Any, vocabulary: int | None) -> None:
    """The first and the last of a file's tokens; the others are looked at as they are read."""
    for part in (slice(0, BLOCK), slice(max(0, len(array) - BLOCK), len(array))):
        ids = array[part]
        if not len(ids):
            continue
        wrong = int(ids.min()) if ids.min() < 0 else int(ids.max())
        if wrong < 0 or (vocabulary is not None and wrong >= vocabulary):
            known = f"the model's tokenizer has {vocabulary:,} tokens" if vocabulary else "none is below 0"
            message = f"{file} holds the token {wrong:,}; {known}"
            step = "Make the tokens with the model's own tokenizer, or bring the text as a corpus."
            raise InvalidInput(message, reason="TOKENIZER_MISMATCH", field=str(file), next_step=step)


def _too_few(files: Sequence[Path], shards: OpenShards, row: int, given: InputPath) -> list[Violation]:
    tokens = TokenShards(files, name=TOKENS, shards=shards)
    try:
        for split in _SPLITS:
            Windows(tokens, row, split)
    except ForgeError as error:
        return error.at(given.field)
    return []


def _vocabulary(inputs: Sequence[InputPath]) -> int | None:
    """Of the model's tokenizer; None where the model has faults of its own, which are told elsewhere."""
    try:
        model = next(each for each in inputs if each.kind == "model")
        return read_backend(model_directory(model.path)).get_vocab_size()
    except (StopIteration, ForgeError):
        return None


def _with_way_out(violation: Violation) -> Violation:
    more = _WAYS_OUT.get(violation.reason)
    return replace(violation, next_step=f"{violation.next_step} {more}".strip()) if more else violation
