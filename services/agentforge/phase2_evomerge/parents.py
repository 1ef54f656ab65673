"""The models that are merged: loaded, checked, and what all of their children share."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from agentforge.data.codec import Codec
from agentforge.kit.context import PhaseContext
from agentforge.kit.inputs import InputPath
from agentforge.phase2_evomerge.config import EvoMergeConfig
from agentforge.phase2_evomerge.operators.tensors import Tensors, check_alike, merged
from agentforge.phase2_evomerge.shape import common_fields
from agentforge.train.loading import LoadedModel, load_model
from agentforge.train.machine import device
from agentforge.train.state import load_tensors, own_tensors

CHAMPION, LINEAR = "champion", "linear"
RESULTS = (CHAMPION, LINEAR)
"""What is reported beside the parents."""


@dataclass(frozen=True)
class Parents:
    names: tuple[str, ...]
    tensors: tuple[Tensors, ...]
    base: Tensors | None  # what their changes are measured from
    base_name: str
    models: tuple[nn.Module, ...]  # each with its own config, for its own numbers
    child: nn.Module  # what children's tensors are put into
    codec: Codec
    context: int | None  # tokens that all of them see
    directory: Path  # the first one's, whose tokenizer the child takes

    @property
    def trunk(self) -> Tensors:
        assert self.base is not None, "admission refuses what needs a base and has none"
        return self.base


def load_parents(context: PhaseContext, config: EvoMergeConfig) -> Parents:
    given = context.inputs.many("models")
    models = [_model(each) for each in given]
    names = distinct([each.name for each in given])
    tensors = tuple(_floats(each) for each in models)
    base, base_name = _base(context, config, tensors)
    check_alike((*tensors, *([base] if base is not None else [])))
    first = models[0]
    limits = [each.context for each in models if each.context is not None]
    child = _child([each.model for each in models], names)
    return Parents(
        names, tensors, base, base_name, tuple(each.model for each in models), child, Codec(first.tokenizer),
        min(limits, default=None), first.directory,
    )  # fmt: skip


def _model(given: InputPath) -> LoadedModel:
    with given.named_in_errors():
        found = load_model(given.path)
    found.model.requires_grad_(False)
    return found


def loaded(path: Path) -> dict[str, Tensor]:
    """A checkpoint's tensors, where the parents are: they are merged with each other."""
    return {name: tensor.to(device()) for name, tensor in load_tensors(path).items()}


def distinct(given: Sequence[str]) -> tuple[str, ...]:
    """Results stand under these names: two of one name are numbered, and none is that of a result of ours."""
    names: list[str] = []
    for name in given:
        numbered = (f"{name}-{number}" for number in itertools.count(2))
        free = (each for each in itertools.chain([name], numbered) if each not in (*names, *RESULTS))
        names.append(next(free))
    return tuple(names)


def _floats(found: LoadedModel) -> dict[str, Tensor]:
    """In float32, whatever the file has: children are made and compared in it."""
    return {n: each.float() if each.is_floating_point() else each for n, each in own_tensors(found.model).items()}


def _base(
    context: PhaseContext, config: EvoMergeConfig, parents: Sequence[Tensors]
) -> tuple[dict[str, Tensor] | None, str]:
    if config.base == "mean":
        return merged("linear", parents, None, None, config.seed), "the parents' mean"
    trunk = context.inputs.maybe("trunk")
    return (None, "") if trunk is None else (_floats(_model(trunk)), trunk.name)


def _child(models: Sequence[Any], names: Sequence[str]) -> nn.Module:
    fields = common_fields([model.config.to_dict() for model in models], names)
    config = type(models[0].config).from_dict(fields)
    with torch.random.fork_rng():
        model: Any = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    model.generation_config = models[0].generation_config
    child: nn.Module = model.float().to(device()).eval().requires_grad_(False)
    return child
