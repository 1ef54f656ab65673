"""Do these models fit together? Told from their headers, configs and tokenizers: no weight is read, no torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentforge.kit.errors import DataLoss, InvalidInput
from agentforge.phase2_evomerge.streaming.shards import FLOATS, ModelFiles
from agentforge.train.directory import read_json

# What gives the same shapes another meaning. The rest of a config may differ: the first model's is taken.
_ALIKE = (
    "model_type", "architectures", "vocab_size", "tie_word_embeddings", "num_attention_heads", "num_key_value_heads"
)  # fmt: skip
_FLOAT_NAMES = tuple(FLOATS.values())


def check_fit(models: Sequence[ModelFiles], dtype: str | None) -> str:
    """The dtype of the merged model: the one asked for, or the one that all have."""
    first, *others = models
    for other in others:
        _check_configs(first, other)
        _check_names(first, other)
        _check_tensors(first, other)
        _check_tokenizers(first, other)
    return _dtype(models, dtype)


def is_float(dtype: str) -> bool:
    return dtype in FLOATS


def _check_configs(first: ModelFiles, other: ModelFiles) -> None:
    for field in _ALIKE:
        one, two = first.config.get(field), other.config.get(field)
        if one != two:
            message = f"{field} is {one!r} in {first.directory} and {two!r} in {other.directory}"
            step = "Merge models of one architecture, best those trained from one base."
            raise InvalidInput(message, reason="MODELS_DIFFER", field=field, next_step=step)


def _check_names(first: ModelFiles, other: ModelFiles) -> None:
    for one, two in ((first, other), (other, first)):
        name = next((name for name in one.tensors if name not in two.tensors), None)
        if name is not None:
            message = f"tensor {name!r} is in {one.directory} but not in {two.directory}"
            tied = name.endswith("lm_head.weight")
            step = (
                "One stores its output head, the other shares it with the embeddings: save both alike."
                if tied
                else ""
            )
            raise InvalidInput(
                message, reason="TIED_HEADS_DIFFER" if tied else "TENSORS_DIFFER", field=name, next_step=step
            )


def _check_tensors(first: ModelFiles, other: ModelFiles) -> None:
    for name, one in first.tensors.items():
        two = other.tensors[name]
        if one.shape != two.shape:
            message = f"tensor {name!r} is {list(one.shape)} in {one.file} and {list(two.shape)} in {two.file}"
            raise InvalidInput(message, reason="SHAPES_DIFFER", field=name)
        if one.dtype != two.dtype and not (is_float(one.dtype) and is_float(two.dtype)):
            message = f"tensor {name!r} is {one.dtype} in {one.file} and {two.dtype} in {two.file}"
            raise InvalidInput(message, reason="DTYPES_DIFFER", field=name)


def _dtype(models: Sequence[ModelFiles], wanted: str | None) -> str:
    if wanted is not None and wanted not in _FLOAT_NAMES:
        message = f"--dtype {wanted!r} is none of {', '.join(_FLOAT_NAMES)}"
        raise InvalidInput(message, reason="UNKNOWN_DTYPE", field="dtype")
    found: dict[str, tuple[ModelFiles, str]] = {}
    for model in models:
        for stored in model.tensors.values():
            if stored.dtype.startswith("F") and not is_float(stored.dtype):
                message = (
                    f"{stored.file}: tensor {stored.name!r} is {stored.dtype}; only {', '.join(FLOATS)} are merged"
                )
                raise InvalidInput(message, reason="UNSUPPORTED_DTYPE", field=stored.name)
            if is_float(stored.dtype):
                found.setdefault(FLOATS[stored.dtype], (model, stored.name))
    if not found:
        message = f"{models[0].directory} holds no floating-point tensor: there is nothing to merge"
        raise InvalidInput(message, reason="NO_FLOATS", field=str(models[0].directory))
    if wanted is None and len(found) > 1:
        (one, (a, x)), (two, (b, y)) = list(found.items())[:2]
        message = f"tensor {y!r} is {two} in {b.directory}, and tensor {x!r} is {one} in {a.directory}"
        step = f"Say which one the merged model shall have: --dtype {one}"
        raise InvalidInput(message, reason="DTYPES_DIFFER", field=y, next_step=step)
    return wanted or next(iter(found))


def _check_tokenizers(first: ModelFiles, other: ModelFiles) -> None:
    """By token and id, where both have a tokenizer.json; equal files are equal without a look inside."""
    one, two = (model.directory / "tokenizer.json" for model in (first, other))
    if not (one.is_file() and two.is_file()) or one.read_bytes() == two.read_bytes():
        return
    ours, theirs = _token_ids(one), _token_ids(two)
    for token in (*ours, *theirs):
        here, there = ours.get(token), theirs.get(token)
        if here != there:
            message = f"token {token!r} is {_id(here)} in {one} and {_id(there)} in {two}"
            step = "Merged weights would mean different tokens: train both with one tokenizer."
            raise InvalidInput(message, reason="TOKENIZERS_DIFFER", field=token, next_step=step)


def _id(number: int | None) -> str:
    return "absent" if number is None else f"number {number}"


def _token_ids(file: Path) -> dict[str, int]:
    """Vocabularies are {token: id}, or for Unigram [[token, score], …] in order of the ids."""
    described = read_json(file)
    try:
        vocabulary: Any = described["model"]["vocab"]
        ids = (
            dict(vocabulary)
            if isinstance(vocabulary, dict)
            else {entry[0]: number for number, entry in enumerate(vocabulary)}
        )
        ids |= {added["content"]: added["id"] for added in described.get("added_tokens") or []}
    except (KeyError, TypeError, IndexError) as error:
        message = f"{file} is no tokenizer: {json.dumps(str(error))} is missing or of a wrong kind"
        raise DataLoss(message, reason="BROKEN_FILE", field=str(file)) from error
    return ids
