"""What the phase begins with: the model as it came, its tokenizer, the tools, the persona and the questions."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from agentforge.data.codec import Codec
from agentforge.data.generate import items_by_family
from agentforge.data.items import Item
from agentforge.data.manner import Manner
from agentforge.data.splits import Split
from agentforge.kit.inputs import InputPath
from agentforge.phase6_baking.adapters.lora import attach
from agentforge.phase6_baking.config import BakingConfig
from agentforge.phase6_baking.prompts import Prompts
from agentforge.phase6_baking.toolkit import describe_tools, toolbox_of
from agentforge.tools.toolbox import Toolbox
from agentforge.train.loading import load_model
from agentforge.train.state import put_tensors


@dataclass(frozen=True)
class Start:
    """`model` stays as it came, but for adapters that were given: what was baked is compared with it."""

    directory: Path
    model: Any
    codec: Codec
    config: BakingConfig
    toolbox: Toolbox | None
    manner: Manner | None

    @property
    def prompts(self) -> Prompts:
        tools = describe_tools(self.toolbox, self.config.tools) if self.toolbox else ""
        return Prompts(tools, self.manner.prefix if self.manner else "")

    def copy(self, tensors: Mapping[str, Tensor] | None = None) -> Any:
        """A model of its own, as it came or with these weights."""
        model = copy.deepcopy(self.model)
        if tensors is not None:
            put_tensors(model, tensors)
        return model

    def items(self, families: Mapping[str, tuple[int, ...]], split: Split, count: int) -> list[Item]:
        """So many of each family, or all where it has fewer; without the prefixes that families have themselves."""
        lists = {name: list(levels) for name, levels in families.items()}
        found = items_by_family(lists, split, count, self.config.seed, field="data.families")
        return [replace(item, prefix="") for each in found.values() for item in each]


def load_start(given: InputPath, config: BakingConfig) -> Start:
    with given.named_in_errors():
        loaded = load_model(given.path)
    model, manner = loaded.model, None
    if config.lora is not None and config.bakes:
        attach(model, config.lora, config.seed)
    if config.bakes and config.persona.traits.wanted:
        manner = Manner(config.persona.traits.wanted, config.persona.prefix)
    toolbox = (
        toolbox_of(config.tools, loaded.tokenizer.all_special_tokens) if config.bakes and config.tools.on else None
    )
    return Start(loaded.directory, model, Codec(loaded.tokenizer), config, toolbox, manner)
