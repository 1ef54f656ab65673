"""What the phase begins with: the model as it came, its tokenizer, and the items of every split."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream, items_by_family
from agentforge.data.items import Item
from agentforge.data.loader import Loader, even_loader
from agentforge.data.rows import ItemRows
from agentforge.data.splits import Split
from agentforge.kit.inputs import InputPath
from agentforge.kit.rng import Rng
from agentforge.models.thoughts.saving import HABITS, HEAD
from agentforge.phase8_compression.config import CompressionConfig
from agentforge.tools.saving import FILE as TOOLS
from agentforge.train.loading import load_model

BESIDE = (HABITS, HEAD, TOOLS)
"""What goes on with a model, whose own weights it does not hold."""


@dataclass(frozen=True)
class Start:
    """`model` stays as it came: all else is compared with it. `batch`: rows of a forward pass in training."""

    directory: Path
    model: Any
    codec: Codec
    config: CompressionConfig
    batch: int

    def rows(self, number: int = 0) -> Loader:
        """Of the candidate with this number: each has rows of its own."""
        data = self.config.data
        seed = Rng(self.config.seed, "compression/rows", number).seed
        streams = [ItemStream(name, Split.TRAIN, seed, data.difficulty(name)) for name in sorted(data.families)]
        rows = [ItemRows(stream, self.codec, data.length) for stream in streams]
        return even_loader(rows, batch=self.batch, pad=self.codec.pad, seed=seed)

    def items(self, split: Split, count: int) -> list[Item]:
        """So many of each family, or all where it has fewer."""
        families = self.config.data.families
        found = items_by_family(families, split, count, self.config.seed, field="data.families")
        return [item for each in found.values() for item in each]

    def having(self, **changes: Any) -> Start:
        return replace(self, **changes)

    def save_beside(self, directory: Path, codec: Codec) -> None:
        """All that belongs to a model but its weights."""
        codec.tokenizer.save_pretrained(directory)
        for name in BESIDE:
            if (self.directory / name).is_file():
                shutil.copyfile(self.directory / name, directory / name)


def load_start(given: InputPath, config: CompressionConfig) -> Start:
    with given.named_in_errors():
        loaded = load_model(given.path)
    batch = (config.healing or config.machine).batch
    return Start(loaded.directory, loaded.model, Codec(loaded.tokenizer), config, batch)
