"""What the phase begins with: the model as it came, its tokenizer, and the items of every split."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream, items_by_family
from agentforge.data.items import Item
from agentforge.data.loader import Loader, even_loader
from agentforge.data.rows import ItemRows
from agentforge.data.splits import Split
from agentforge.kit.errors import InvalidInput
from agentforge.kit.inputs import InputPath
from agentforge.kit.rng import Rng
from agentforge.models.ternary.convert import convert
from agentforge.models.ternary.linear import Mode
from agentforge.models.thoughts.saving import load_thinker
from agentforge.models.thoughts.thinker import Thinker
from agentforge.phase4_bitnet.admission import check_not_ternary
from agentforge.phase4_bitnet.config import BitNetConfig
from agentforge.train.directory import model_directory
from agentforge.train.loading import load_model


@dataclass(frozen=True)
class Start:
    """`model` stays as it came: it is the teacher, and what all else is compared with."""

    directory: Path
    model: Any
    codec: Codec
    config: BitNetConfig

    def ternary(self, modes: dict[str, Mode]) -> Any:
        """A model of its own, rounded and nothing else. `modes`: of its ternary layers, by name."""
        model = copy.deepcopy(self.model)
        for name, mode in modes.items():
            convert(model, [name], mode)
        return model

    def thinker(self, model: Any) -> Thinker | None:
        """`model` with the habits that the input thinks by; None where it never thinks."""
        found = load_thinker(self.directory, model, self.codec.tokenizer)
        return found if found is not None and found.habits.threshold is not None else None

    def rows(self, number: int = 0) -> Loader:
        """Of the round with this number: each has rows of its own."""
        data, config = self.config.data, self.config
        seed = Rng(config.seed, "bitnet/rows", number).seed if number else config.seed
        streams = [ItemStream(name, Split.TRAIN, seed, data.difficulty(name)) for name in sorted(data.families)]
        rows = [ItemRows(stream, self.codec, data.length) for stream in streams]
        return even_loader(rows, batch=config.train.batch, pad=self.codec.pad, seed=seed)

    def items(self, split: Split, count: int) -> list[Item]:
        """So many of each family, or all where it has fewer."""
        families = self.config.data.families
        found = items_by_family(families, split, count, self.config.seed, field="data.families")
        return [item for each in found.values() for item in each]

    def calibration(self, samples: int) -> list[Item]:
        """Evenly of all families."""
        each = -(-samples // len(self.config.data.families))
        found, batch = self.items(Split.CALIBRATION, each), self.config.calibration.batch
        if len(found) < batch:
            message = f"the families have {len(found)} items in the calibration split, and a batch is {batch}"
            step = "Take a smaller calibration.batch, more families or higher difficulties."
            raise InvalidInput(message, reason="TOO_FEW_SAMPLES", field="calibration.batch", next_step=step)
        return found


def load_start(given: InputPath, config: BitNetConfig) -> Start:
    with given.named_in_errors():
        check_not_ternary(model_directory(given.path))
        loaded = load_model(given.path)
    return Start(loaded.directory, loaded.model, Codec(loaded.tokenizer), config)
