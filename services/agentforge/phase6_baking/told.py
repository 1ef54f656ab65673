"""Questions as the model learns them: behind a prompt, asked in several ways, answered in a persona's manner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agentforge.data.items import Item
from agentforge.data.manner import Manner
from agentforge.data.rows import Items
from agentforge.kit.rng import Rng
from agentforge.phase6_baking.persona.dialogues import ASKINGS, PLAIN, Asking, asked, askings


@dataclass(frozen=True)
class Told:
    """An `Items`: those of another, with `prefix`. The answer is bare where there is no manner."""

    items: Items
    prefix: str
    manner: Manner | None
    seed: int
    ways: Sequence[Asking]

    @property
    def name(self) -> str:
        kind = "persona" if self.manner else "tools" if self.prefix else "plain"
        return f"{self.items.name}/{kind}"

    def item(self, *counters: int) -> Item:
        item = self.items.item(*counters)
        rng = Rng(self.seed, f"baking/told/{self.name}", *counters).python()
        way = rng.choice(tuple(self.ways))
        answer = self.manner.reply(item.answer, rng).strip(" ") if self.manner else item.answer
        return replace(item, prefix=self.prefix, prompt=reworded(item, way), answer=answer)


def ways_of(kind: str) -> tuple[Asking, ...]:
    """Of FollowingConfig.ways."""
    return askings("trained") if kind == "several" else tuple(each for each in ASKINGS if each.name == PLAIN)


def reworded(item: Item, way: Asking) -> str:
    """The item's question, asked in that way."""
    return asked("", item, way).prompt
