"""Training with quantisation in the loop: the items' loss, what the input model would say, and the warm-up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentforge.data.items import Item
from agentforge.data.rows import IGNORED
from agentforge.data.splits import Split
from agentforge.kit.measure import Measurement
from agentforge.models.ternary.linear import Mode, frozen, set_strength
from agentforge.phase4_bitnet.config import LossConfig
from agentforge.phase4_bitnet.judging import FINETUNED
from agentforge.phase4_bitnet.start import Start
from agentforge.train.evaluate import item_loss
from agentforge.train.loop import Training, model_loss
from agentforge.train.state import put_tensors


def strength(step: int, steps: int, warmup: float) -> float:
    """From 0, the plain weights, in even parts to 1 after `warmup` of all steps. By the step alone."""
    rising = round(warmup * steps)
    return min(1.0, step / rising) if rising else 1.0


def distillation(logits_XV: Tensor, teacher_XV: Tensor, temperature: float) -> Tensor:
    """KL(teacher || student) in nats, mean over tokens; times temperature², so that gradients keep their size."""
    ours, theirs = (F.log_softmax(each.float() / temperature, -1) for each in (logits_XV, teacher_XV))
    return F.kl_div(ours, theirs, log_target=True, reduction="batchmean") * temperature**2


class TernaryLoss:
    """A `LossOf` of the training loop. `teacher`: the input model, as it is used and not as it is trained."""

    def __init__(self, config: LossConfig, teacher: Any, strength_of: Callable[[int], float]) -> None:
        self.config, self.teacher, self.strength_of = config, teacher, strength_of
        self.step_of: Callable[[], int] = lambda: 0  # the loop's step, once there is a loop

    def __call__(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        set_strength(model, self.strength_of(self.step_of()))
        with frozen(model):  # a Titan passes its layers several times
            return self._loss(model, batch)

    def _loss(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        if not self.config.distillation:
            return self.config.task * model_loss(model, batch)
        out = model(**batch)
        with torch.no_grad():
            inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
            teacher_BTV = self.teacher(**inputs).logits
        learned_BT = batch["labels"][:, 1:] != IGNORED
        ours_XV, theirs_XV = (each[:, :-1][learned_BT] for each in (out.logits, teacher_BTV))
        distilled = distillation(ours_XV, theirs_XV, self.config.temperature)
        total: Tensor = self.config.task * out.loss + self.config.distillation * distilled
        return total


def stage(number: int) -> str:
    """The name of a round."""
    return FINETUNED if number == 0 else f"{FINETUNED}_{number + 1}"


def fine_tuning(
    start: Start, modes: dict[str, Mode], number: int = 0, before: Mapping[str, Tensor] | None = None
) -> Training:
    """The round `number`. `before`: what the one before it left, ternary already; it needs no warm-up."""
    model, config = start.ternary(modes), start.config
    if before is not None:
        put_tensors(model, before)
    warmup = config.warmup if before is None else 0.0
    selection = start.items(Split.SELECTION, config.evaluation.items)
    teacher = start.model.eval()
    loss = TernaryLoss(config.loss, teacher, lambda step: strength(step, config.train.steps, warmup))
    training = Training(
        model, start.rows(number), config.train, name=f"bitnet/training/{stage(number)}", loss_of=loss,
        evaluate=lambda: selection_loss(start, model, selection),
    )  # fmt: skip
    loss.step_of = lambda: training.step
    return training


def selection_loss(start: Start, model: Any, items: Sequence[Item]) -> Measurement:
    """At full strength, whatever the warm-up has reached: so the values of all steps can be compared."""
    set_strength(model, 1.0)
    batch = start.config.evaluation.batch
    return item_loss(model, start.codec, items, name="bitnet/training/selection_loss", batch=batch)
