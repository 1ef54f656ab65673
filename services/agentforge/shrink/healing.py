"""The training that a smaller model is given: short in a search, longer for the one that is chosen."""

from __future__ import annotations

from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.data.rows import IGNORED
from agentforge.data.splits import Split
from agentforge.kit.audience import Quiet
from agentforge.kit.ranks import Ranks
from agentforge.kit.rng import Rng
from agentforge.models.ternary.linear import frozen
from agentforge.shrink.config import HealingConfig
from agentforge.shrink.masks import Zeros
from agentforge.train.loop import Batches, Training, model_loss


class Start(Protocol):
    """What all smaller models come from. `model` stays as it came."""

    @property
    def model(self) -> Any: ...
    @property
    def codec(self) -> Codec: ...
    def rows(self, number: int) -> Batches:
        """Of the train split; each number has rows of its own. As many in a batch as healing.batch says."""
        ...

    def items(self, split: Split, count: int) -> list[Item]:
        """So many of each family, or all where it has fewer."""
        ...


class HealingLoss:
    """A `LossOf` of the training loop. `weight`: of the KL from the input model's predictions."""

    def __init__(self, teacher: Any, weight: float) -> None:
        self.teacher, self.weight = teacher, weight

    def __call__(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        with frozen(model):  # a Titan passes its layers several times
            if not self.weight:
                return model_loss(model, batch)
            out = model(**batch)
        with torch.no_grad(), frozen(self.teacher):
            theirs_BTV = self.teacher(**{key: batch[key] for key in ("input_ids", "attention_mask")}).logits
        learned_BT = batch["labels"][:, 1:] != IGNORED
        ours, theirs = (F.log_softmax(x[:, :-1][learned_BT].float(), -1) for x in (out.logits, theirs_BTV))
        loss: Tensor = out.loss + self.weight * F.kl_div(ours, theirs, log_target=True, reduction="batchmean")
        return loss


def healing(
    start: Start, model: Any, zeros: Zeros, config: HealingConfig, *, number: int, distillation: float, name: str
) -> Training:
    loss = HealingLoss(start.model.eval(), distillation)
    return Training(model, start.rows(number), config, name=name, loss_of=loss, parts={"zeros": zeros})


def heal(
    start: Start, model: Any, zeros: Zeros, config: HealingConfig, *,
    number: int, distillation: float, dice: Rng, name: str,
) -> None:  # fmt: skip
    """In place, by this rank alone: the others heal other candidates. `dice`: the candidate's own."""
    with torch.random.fork_rng():
        torch.manual_seed(dice.seed)
        training = healing(start, model, zeros, config, number=number, distillation=distillation, name=name)
        training.ranks = Ranks()
        training.run(Quiet())
