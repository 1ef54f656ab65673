"""Asking a model, with its tools at hand, and what its answers are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.data.toolcalls import TOOL_CLOSE, TOOL_OPEN
from agentforge.models.ternary.linear import frozen
from agentforge.tools.toolbox import Toolbox
from agentforge.train.evaluate import ROOM
from agentforge.train.rollouts import Constraint, Trajectory, rollouts


@dataclass(frozen=True)
class Reply:
    text: str  # calls, results and all, without the end
    trajectory: Trajectory
    asked: int  # tokens of the prompt
    own: str  # what of the text the model said itself
    valid: bool | None = None  # whether its first call could be run; None: there was none

    @property
    def tokens(self) -> int:
        """Of the whole: what a query costs."""
        return self.asked + len(self.trajectory.ids)


@dataclass
class Runner:
    """Runs calls, each once: tools give the same result for the same call. Remembers which went wrong."""

    toolbox: Toolbox
    _results: dict[str, tuple[str, bool]] = field(default_factory=dict)

    def __call__(self, body: str) -> str:
        return self._of(body)[0]

    def valid(self, body: str) -> bool:
        return self._of(body)[1]

    def _of(self, body: str) -> tuple[str, bool]:
        if body not in self._results:
            result = self.toolbox.run(body)
            self._results[body] = (result.text, not result.error)
        return self._results[body]


def ask(
    model: Any, codec: Codec, prompts: Sequence[str], runner: Runner | None, *, room: int, calls: int = 1,
    temperature: float = 0.0, seed: int = 0, batch: int = 256, constraint: Constraint | None = None,
) -> list[Reply]:  # fmt: skip
    ids = [codec.prompt_ids(prompt) for prompt in prompts]
    was_training = model.training
    model.eval()
    with frozen(model):
        found = rollouts(
            model, codec, ids, run=runner, room=room, calls=calls, temperature=temperature, seed=seed, batch=batch,
            constraint=constraint,
        )  # fmt: skip
    model.train(was_training)
    return [reply_of(codec, each, len(asked), runner) for asked, each in zip(ids, found, strict=True)]


def reply_of(codec: Codec, trajectory: Trajectory, asked: int, runner: Runner | None) -> Reply:
    ended = trajectory.ids[-1:] == [codec.eos]
    text = codec.text(trajectory.ids[:-1] if ended else trajectory.ids)
    said = zip(trajectory.ids, trajectory.own, strict=True)
    own = codec.text([token for token, is_own in said if is_own and token != codec.eos])
    first = text.partition(TOOL_OPEN)[2]
    if not first:
        return Reply(text, trajectory, asked, own)
    body, closed, _ = first.partition(TOOL_CLOSE)
    return Reply(text, trajectory, asked, own, bool(closed) and runner is not None and runner.valid(body))


def room_for(codec: Codec, items: Sequence[Item]) -> int:
    """Tokens that the longest of these answers takes, and some, so that one that goes on too long is seen to."""
    return max(len(codec.ids(item.completion)) for item in items) + ROOM
