"""The training that a candidate is given: short in the search, longer for the one that is chosen."""

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
from agentforge.phase7_adas.configs.search import HealingConfig
from agentforge.phase7_adas.search.space import Genes
from agentforge.phase7_adas.search.weights import Zeros
from agentforge.train.loop import Batches, Training, model_loss


class Start(Protocol):
    """What the search begins with. `model` stays as it came."""

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
    start: Start, model: Any, genes: Genes, config: HealingConfig, *, number: int, distillation: float, name: str
) -> Training:
    loss = HealingLoss(start.model.eval(), distillation)
    parts = {"zeros": Zeros(model, genes)}
    return Training(model, start.rows(number), config, name=name, loss_of=loss, parts=parts)


def heal(
    start: Start, model: Any, genes: Genes, config: HealingConfig, *, number: int, distillation: float, dice: Rng
) -> None:
    """In place, by this rank alone: the others heal other candidates. `dice`: the candidate's own."""
    name = f"adas/search/{number}"
    with torch.random.fork_rng():
        torch.manual_seed(dice.seed)
        training = healing(start, model, genes, config, number=number, distillation=distillation, name=name)
        training.ranks = Ranks()
        training.run(Quiet())
