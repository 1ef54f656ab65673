"""What the phase begins with: the model as it came, its tokenizer, and what is trained and measured on."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from agentforge.data.codec import Codec
from agentforge.data.generate import items_by_family
from agentforge.data.items import Item
from agentforge.data.splits import Split
from agentforge.kit.context import PhaseContext
from agentforge.kit.inputs import InputPath
from agentforge.models.thoughts.saving import load_thinker
from agentforge.models.thoughts.thinker import Thinker
from agentforge.phase5_training.config import TrainingConfig
from agentforge.phase5_training.sources import Given, Places
from agentforge.train.loading import load_model
from agentforge.train.state import put_tensors


@dataclass(frozen=True)
class Start:
    """`model` stays as it came: what was trained is compared with it."""

    directory: Path
    model: Any
    codec: Codec
    config: TrainingConfig
    given: Given

    def copy(self, tensors: Mapping[str, Tensor] | None = None) -> Any:
        """A model of its own, as it came or with these weights."""
        model = copy.deepcopy(self.model)
        if tensors is not None:
            put_tensors(model, tensors)
        return model

    def thinker(self, model: Any) -> Thinker | None:
        """`model` with the habits that the input thinks by; None where it never thinks."""
        found = load_thinker(self.directory, model, self.codec.tokenizer)
        return found if found is not None and found.habits.threshold is not None else None

    def items(self, split: Split, count: int) -> list[Item]:
        """So many of each family, or all where it has fewer."""
        families = self.config.data.families
        found = items_by_family(families, split, count, self.config.seed, field="data.families")
        return [item for each in found.values() for item in each]


def load_start(model: InputPath, config: TrainingConfig, context: PhaseContext | None = None) -> Start:
    """`context`: of a run, which may bring text and tokens."""
    with model.named_in_errors():
        loaded = load_model(model.path)
    codec = Codec(loaded.tokenizer)
    if context is None:
        given = Given(Places(loaded.directory), config.data, codec, config.seed)
    else:
        given = Given.of(context, config.data, codec)
    return Start(loaded.directory, loaded.model, codec, config, given)
