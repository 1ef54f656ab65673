"""Learning to follow: behind the prompts a model says what they ask for, and without them what it always said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentforge.data.loader import ROWS_TRIED, Batch, Loader, Prefetch
from agentforge.data.rows import IGNORED, RowSource
from agentforge.data.splits import Split
from agentforge.kit.errors import InvalidInput
from agentforge.models.ternary.linear import frozen
from agentforge.phase6_baking.bake.loss import divergence
from agentforge.phase6_baking.sources import plainly_answered, rows, text
from agentforge.phase6_baking.start import Start
from agentforge.train.loop import Training

FOLLOWING = "following"

Weighted = list[tuple[RowSource, float]]


def following(start: Start) -> Training:
    """On a model of its own."""
    config, model = start.config.following, start.copy()
    behind, plain = followed(start)
    loader = _Marked([*behind, *plain], batch=config.batch, pad=start.codec.pad, seed=start.config.seed)
    loader.unmarked = len(behind)
    loss = FollowingLoss(start.copy())
    return Training(model, Prefetch(loader), config, name="baking/following", loss_of=loss)


def check_rows(start: Start) -> None:
    """What is wrong with rows or a split is told before the first step."""
    for source, _ in (each for sources in followed(start) for each in sources):
        _try(source)
    for families in filter(None, (start.config.skills, start.config.tool_tasks)):
        for split in (Split.SELECTION, Split.TEST):
            start.items(families, split, start.config.evaluation.items)


def followed(start: Start) -> tuple[Weighted, Weighted]:
    """Behind each prompt that is baked later: the prompt's answers. Without: the model's skills, as they are."""
    skills, tasks, prompts = start.config.skills, start.config.tool_tasks, start.prompts
    config = start.config.following
    behind: Weighted = [(rows(start, name, levels, prompts.tools, None), 1.0) for name, levels in tasks.items()]
    if start.manner is not None:
        said = {**dict.fromkeys(tasks, 1.0), **dict.fromkeys(plainly_answered(start), config.skills)}
        levels = {**tasks, **skills}
        behind += [
            (rows(start, name, levels[name], prompts.whole, start.manner), weight) for name, weight in said.items()
        ]
    plain: list[RowSource] = [
        *(rows(start, name, levels, "", None) for name, levels in skills.items()),
        text(start),
    ]
    share = config.plain * sum(weight for _, weight in behind) / len(plain)
    return behind, [(source, share) for source in plain]


class _Marked(Loader):
    """`weight` is 1 in rows of the last sources, and 0 in those of the first `unmarked`."""

    unmarked = 0

    def __next__(self) -> Batch:
        batch = super().__next__()
        return replace(batch, weight=(batch.source >= self.unmarked).astype(np.float32))


class FollowingLoss:
    """Behind a prompt: what is to be said. Without: KL from the model as it came, which keeps what it can do better
    than learning right answers anew."""

    def __init__(self, before: Any) -> None:
        self.before = before.eval().requires_grad_(False)

    def __call__(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        with frozen(model):  # a Titan passes its layers several times: codes are made once
            logits_BTV = model(**inputs).logits[:, :-1].float()
        labels_BT = batch["labels"][:, 1:]
        kept_B = batch["weight"] > 0
        said_BT = (labels_BT != IGNORED) & ~kept_B[:, None]
        loss: Tensor = F.cross_entropy(logits_BTV[said_BT], labels_BT[said_BT], reduction="sum")
        if kept_B.any():
            with torch.no_grad(), frozen(self.before):
                before_BTV = self.before(**{name: each[kept_B] for name, each in inputs.items()}).logits[:, :-1]
            learned_BT = labels_BT[kept_B] != IGNORED
            was_XV = F.log_softmax(before_BTV[learned_BT].float(), -1)
            loss = loss + divergence(was_XV, F.log_softmax(logits_BTV[kept_B][learned_BT], -1)).sum()
        return loss / (labels_BT != IGNORED).sum()


def _try(source: RowSource) -> None:
    try:
        for number in range(ROWS_TRIED):
            source.row(number)
    except InvalidInput as error:
        error.field = {"ITEM_TOO_LONG": "data.length"}.get(error.reason, error.field)
        raise
