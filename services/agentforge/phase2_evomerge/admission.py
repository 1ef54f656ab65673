"""What is wrong with the models that a run is asked to merge: told from their files' heads, without torch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from agentforge.kit.errors import ForgeError, Violation
from agentforge.kit.inputs import InputPath
from agentforge.models.fields_titan import MODEL_TYPE
from agentforge.phase2_evomerge.config import EvoMergeConfig
from agentforge.phase2_evomerge.methods import METHODS
from agentforge.phase2_evomerge.shape import common_fields
from agentforge.phase2_evomerge.streaming.fit import check_fit
from agentforge.phase2_evomerge.streaming.shards import ModelFiles
from agentforge.train.directory import check_no_adapter, check_not_ternary

_SIZE_SLACK = 0.05
STRICT_COUNT = 3


def check(config: EvoMergeConfig, inputs: list[InputPath]) -> list[Violation]:
    models = [each for each in inputs if each.kind == "model"]
    trunk = next((each for each in inputs if each.kind == "trunk"), None)
    found = [*_count(config, len(models)), *_options(config, len(models)), *_base(config, trunk)]
    files: list[ModelFiles] = []
    for given in (*models, *([trunk] if trunk else [])):
        try:
            files.append(ModelFiles(given.path))
            check_not_ternary(files[-1].directory)
            check_no_adapter(files[-1].directory)
        except ForgeError as error:
            found += error.at(given.field)
    if found or not files:
        return found
    names = [each.name for each in models]
    if config.strict:
        found = [one for given, file in zip(models, files, strict=False) for one in _strict(config, given, file)]
    everyone = [*names, *([trunk.name] if trunk else [])]
    if config.algorithm == "merge":  # from file to file, in the models' own type
        return found or _differences(files, everyone, None)
    found = found or [one for given, file in zip(models, files, strict=False) for one in _tokenizer(given, file)]
    return found or _differences(files, everyone, "float32")  # in which children are made and judged


def _count(config: EvoMergeConfig, count: int) -> list[Violation]:
    if config.strict and count != STRICT_COUNT:
        message = f"{count} models are given; strict mode takes exactly {STRICT_COUNT}"
        step = f"Give {STRICT_COUNT}, or set strict to false."
        return [Violation("inputs.models", message, "WRONG_MODEL_COUNT", step)]
    if config.algorithm == "merge":
        most = METHODS[config.merge.method].parents_max
        if most is not None and count > most:
            message = f"{config.merge.method} merges at most {most} models, {count} are given"
            return [Violation("merge.method", message, "PARENT_COUNT", "Leave some out, or take another method.")]
    return []


def _options(config: EvoMergeConfig, count: int) -> list[Violation]:
    """Of the method's options those that must go with the number of models."""
    if config.algorithm != "merge":
        return []
    weights = config.merge.options.get("weights") or []
    if weights and len(weights) != count:
        message = f"{len(weights)} weights are given for {count} models"
        return [Violation("merge.options.weights", message, "WEIGHT_COUNT", "Give one for each, or none at all.")]
    if config.merge.method == "slerp" and config.merge.options.get("t") is not None and count != 2:
        message = f"t is for two models, {count} are given; three are merged in equal shares"
        return [Violation("merge.options.t", message, "T_WITH_THREE_PARENTS", "Leave t out, or give two models.")]
    return []


def _base(config: EvoMergeConfig, trunk: InputPath | None) -> list[Violation]:
    """Without a common base a model's changes are unknown; whether their mean may stand in, the user decides."""
    merges = config.algorithm == "merge"
    needed = not merges or METHODS[config.merge.method].needs_base
    if trunk is not None or not needed or (config.base == "mean" and not merges):
        return []
    what = f"method {config.merge.method}" if merges else f"algorithm {config.algorithm}"
    message = f"{what} works on the models' changes from a common base, and no trunk is given"
    step = "Give the trunk that they were trained from"
    step += "." if merges else ", or set base to mean: changes are then from their mean."
    return [Violation("inputs.trunk", message, "BASE_REQUIRED", step)]


def _strict(config: EvoMergeConfig, given: InputPath, file: ModelFiles) -> list[Violation]:
    kind = file.config.get("model_type")
    if kind != MODEL_TYPE:
        message = f"{given.name} is a {kind}; strict mode takes {MODEL_TYPE} only"
        return [Violation(given.field, message, "WRONG_ARCHITECTURE", "Set strict to false to merge other models.")]
    count = sum(math.prod(each.shape) for each in file.tensors.values())
    wanted = config.parameters
    if wanted is not None and abs(count - wanted) > _SIZE_SLACK * wanted:
        message = f"{given.name} has {count:,} parameters; strict mode takes {wanted:,} ± {_SIZE_SLACK:.0%}"
        step = "Set parameters to what your models have, or to null, or strict to false."
        return [Violation(given.field, message, "WRONG_SIZE", step)]
    return []


def _tokenizer(given: InputPath, file: ModelFiles) -> list[Violation]:
    if (file.directory / "tokenizer.json").is_file():
        return []
    message = f"{given.name} holds no tokenizer.json"
    step = "Save the model's fast (tokenizers) tokenizer beside its weights."
    return [Violation(given.field, message, "NO_TOKENIZER", step)]


def _differences(files: Sequence[ModelFiles], names: Sequence[str], dtype: str | None) -> list[Violation]:
    try:
        common_fields([file.config for file in files], names)
        check_fit(files, dtype)
    except ForgeError as error:
        return error.at(f"inputs: {error.field}")
    return []
