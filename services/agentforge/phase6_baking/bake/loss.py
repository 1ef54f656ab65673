"""How far the student, without the prompt, is from the teacher with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentforge.data.rows import IGNORED
from agentforge.kit.errors import FailedPrecondition
from agentforge.models.ternary.linear import frozen
from agentforge.phase6_baking.configs.bake import BakeConfig
from agentforge.train.parts import Part

BESIDE = "beside_"


class BakeLoss(Part):
    """A `LossOf`, and the loop's part that counts the steps of its schedule. In nats, mean over learned tokens.

    The student is asked as it will be used, so in evaluation mode: no dropout, and a Titan's own number of steps.
    """

    def __init__(self, teacher: nn.Module, config: BakeConfig, steps: int = 1) -> None:
        self.teacher, self.config, self.steps = teacher.eval().requires_grad_(False), config, steps
        self._done = 0

    @property
    def strength(self) -> float:
        """Of the step that comes."""
        risen = min(1.0, (self._done + 1) / self.steps) if self.config.schedule == "linear" else 1.0
        return self.config.strength * risen

    def __call__(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        was_training = model.training
        model.eval()
        with frozen(model):  # a Titan passes its layers several times
            student_XV = said_log_probabilities(model, batch)
        model.train(was_training)
        if self.config.kind == "monte_carlo":
            labels_BT = batch["labels"][:, 1:]
            return F.nll_loss(student_XV, labels_BT[labels_BT != IGNORED])
        target_XV = self.target(batch)
        if self.config.kind == "reverse":
            return divergence(student_XV, target_XV).mean()
        return divergence(target_XV, student_XV).mean()

    @torch.no_grad()
    def target(self, batch: dict[str, Tensor]) -> Tensor:
        """Log-probabilities [X, V] of the geometric mix of the teacher with the prompt and without it."""
        with frozen(self.teacher):
            prompted_XV = said_log_probabilities(self.teacher, beside(batch))
            if self.strength == 1:
                return prompted_XV
            bare_XV = said_log_probabilities(self.teacher, batch)
        return F.log_softmax(bare_XV.lerp(prompted_XV, self.strength), -1)

    def after_step(self, step: int, share: float) -> None:
        self._done = step + 1

    def state_dict(self) -> dict[str, Any]:
        return {"done": self._done}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._done = state["done"]


def beside(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The batch as the teacher reads it."""
    found = {name.removeprefix(BESIDE): each for name, each in batch.items() if name.startswith(BESIDE)}
    if not found:
        message = "the rows of a batch have none beside them for the teacher"
        raise FailedPrecondition(
            message, reason="NO_PAIR", field="sources", next_step="Anchor them: bake.Anchored."
        )
    return found


def said_log_probabilities(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """Of every word at each learned place, row by row: [X, V]."""
    logits_BTV = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    learned_BT = batch["labels"][:, 1:] != IGNORED
    return F.log_softmax(logits_BTV[:, :-1][learned_BT].float(), -1)


def divergence(from_XV: Tensor, to_XV: Tensor) -> Tensor:
    """KL(from || to) in nats, of log-probabilities: [X]."""
    return (from_XV.exp() * (from_XV - to_XV)).sum(-1)
