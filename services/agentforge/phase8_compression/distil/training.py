"""A student's training: what the items say, and what the teacher says of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from agentforge.data.rows import IGNORED
from agentforge.kit.audience import Quiet
from agentforge.kit.errors import FailedPrecondition
from agentforge.kit.ranks import Ranks
from agentforge.kit.rng import Rng
from agentforge.models.ternary.linear import frozen
from agentforge.phase8_compression.distil.losses import attention, feature, response
from agentforge.phase8_compression.distil.maps import Maps
from agentforge.phase8_compression.distil.watching import counterpart, watched
from agentforge.shrink.healing import Start
from agentforge.train.config import TrainConfig
from agentforge.train.loop import Training, model_loss


class DistillationLoss:
    """A `LossOf` of the training loop, of learned positions alone.

    (1 - alpha) · the student's own loss + alpha · response + feature · distance of all layers' hidden states
    + attention · distance of the last layers' relations. `kept`: the teacher's id of each of the student's, where
    the student has fewer tokens: the teacher reads the same tokens by its own ids, and of what it says the kept
    tokens' part is taken, as a distribution of its own.
    """

    def __init__(
        self, teacher: Any, *, temperature: float, alpha: float, feature: float = 0.0, attention: float = 0.0,
        kept: Sequence[int] | None = None, maps: Maps | None = None,
    ) -> None:  # fmt: skip
        self.teacher, self.temperature, self.alpha = teacher, temperature, alpha
        self.feature, self.attention, self.maps = feature, attention, maps
        self.kept = None if kept is None else torch.tensor(kept)

    def __call__(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        watching = bool(self.feature or self.attention)
        if not self.alpha and not watching:
            with frozen(model):
                return model_loss(model, batch)
        with frozen(model), watched(model, watching) as ours:  # a Titan passes its layers several times
            out = model(**batch)
        with torch.no_grad(), frozen(self.teacher), watched(self.teacher, watching) as theirs:
            teacher_BTV = self._said(batch)
        learned_BT = batch["labels"][:, 1:] != IGNORED
        logits_XV, teacher_XV = (each[:, :-1][learned_BT] for each in (out.logits, teacher_BTV))
        loss: Tensor = (1 - self.alpha) * out.loss
        loss = loss + self.alpha * response(logits_XV, teacher_XV, self.temperature)
        if self.feature:
            loss = loss + self.feature * self._features(ours, theirs, learned_BT)
        if self.attention:
            last, teachers = ours[-1][:, :-1], theirs[-1][:, :-1]
            loss = loss + self.attention * attention(last, teachers, batch["attention_mask"][:, :-1], learned_BT)
        return loss

    def _said(self, batch: dict[str, Tensor]) -> Tensor:
        """The teacher's logits of the student's tokens."""
        ids_BT, mask_BT = batch["input_ids"], batch["attention_mask"]
        if self.kept is None:
            logits_BTV: Tensor = self.teacher(input_ids=ids_BT, attention_mask=mask_BT).logits
            return logits_BTV
        kept = self.kept.to(ids_BT.device)
        logits_BTV = self.teacher(input_ids=kept[ids_BT], attention_mask=mask_BT).logits
        return logits_BTV[..., kept]

    def _features(self, ours: list[Tensor], theirs: list[Tensor], learned_BT: Tensor) -> Tensor:
        """The mean over the student's layers."""
        distances = []
        for layer, state_BTD in enumerate(ours):
            state_XD = state_BTD[:, :-1][learned_BT]
            mapped = state_XD if self.maps is None else self.maps(layer, state_XD)
            teachers = theirs[counterpart(layer, len(ours), len(theirs))]
            distances.append(feature(mapped, teachers[:, :-1][learned_BT]))
        return torch.stack(distances).mean()


def distilled(
    start: Start, student: Any, config: TrainConfig, *, number: int, name: str, temperature: float = 4.0,
    alpha: float = 0.7, feature: float = 0.0, attention: float = 0.0, kept: Sequence[int] | None = None,
) -> Training:  # fmt: skip
    """`start.model` teaches; `start.codec` and the rows are the student's. `number`: of its rows."""
    teacher = start.model.eval()
    _check(teacher, student, len(start.codec.tokenizer), kept)
    ours, theirs = student.config, teacher.config
    mapped = feature and ours.hidden_size != theirs.hidden_size
    maps = Maps(ours.hidden_size, theirs.hidden_size, ours.num_hidden_layers, config) if mapped else None
    loss = DistillationLoss(
        teacher, temperature=temperature, alpha=alpha, feature=feature, attention=attention, kept=kept, maps=maps
    )
    parts = {} if maps is None else {"maps": maps}
    training = Training(student, start.rows(number), config, name=name, loss_of=loss, parts=parts)
    if maps is not None:
        maps.ranks_of = lambda: training.ranks
    return training


def distil(
    start: Start, student: Any, config: TrainConfig, *, number: int, name: str, dice: Rng, temperature: float = 4.0,
    alpha: float = 0.7, feature: float = 0.0, attention: float = 0.0, kept: Sequence[int] | None = None,
) -> None:  # fmt: skip
    """In place, by this rank alone: the others train other candidates. `dice`: the candidate's own."""
    with torch.random.fork_rng():
        torch.manual_seed(dice.seed)
        training = distilled(
            start, student, config, number=number, name=name, temperature=temperature, alpha=alpha,
            feature=feature, attention=attention, kept=kept,
        )  # fmt: skip
        training.ranks = Ranks()
        training.run(Quiet())


def _check(teacher: Any, student: Any, tokens: int, kept: Sequence[int] | None) -> None:
    """Ids of the one must mean the tokens of the other."""
    size, larger = student.config.vocab_size, teacher.config.vocab_size
    if kept is None and size != larger:
        message = f"the student has {size:,} tokens, its teacher {larger:,}, and nothing says which those are"
        step = "Say `kept`: the teacher's id of each of them."
        raise FailedPrecondition(message, reason="VOCABULARY_MISMATCH", field="vocabulary", next_step=step)
    if kept is not None and (len(kept) != size or max(kept) >= larger):
        message = f"{len(kept):,} kept tokens up to id {max(kept):,} do not lead from {size:,} tokens to {larger:,}"
        raise FailedPrecondition(message, reason="VOCABULARY_MISMATCH", field="vocabulary")
    if tokens > size:
        message = f"the rows' tokenizer has {tokens:,} tokens, and the student {size:,}"
        step = "Give a start whose codec has the student's tokenizer."
        raise FailedPrecondition(message, reason="TOKENIZER_MISMATCH", field="vocabulary", next_step=step)
