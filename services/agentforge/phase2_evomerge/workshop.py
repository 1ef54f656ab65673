"""Where children are made by combinations: with layers that were measured, importance that was, and a way out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from agentforge.kit.errors import ForgeError
from agentforge.phase2_evomerge.evaluation.batches import Batch
from agentforge.phase2_evomerge.judge import Judge
from agentforge.phase2_evomerge.operators.combination import Combination, CombinationOptions
from agentforge.phase2_evomerge.operators.combine import combine
from agentforge.phase2_evomerge.operators.franken import choose_layers
from agentforge.phase2_evomerge.operators.importance import evened, fisher
from agentforge.phase2_evomerge.operators.tensors import Tensors, first_not_finite, merged
from agentforge.phase2_evomerge.parents import Parents
from agentforge.train.state import put_tensors


@dataclass(frozen=True)
class Made:
    tensors: dict[str, Tensor]
    fallback: str = ""  # why it is the plain mean instead of the combination


@dataclass
class Group:
    """Models that are merged with each other, and what was measured of them."""

    members: Sequence[Tensors]
    layers: dict[str, int] | None = None
    importance: list[dict[str, Tensor]] | None = field(default=None, repr=False)


class Workshop:
    """`sheet`: a few questions of the selection split, for layer fitness and Fisher's information."""

    def __init__(self, parents: Parents, sheet: Judge, options: CombinationOptions, seed: int) -> None:
        self.parents, self._sheet, self._options, self._seed = parents, sheet, options, seed
        self._model = parents.child

    def combined(self, combination: Combination, group: Group, seed: int) -> Made:
        """A child that is no number anywhere, or could not be made, gives way to the plain mean."""
        try:
            child = combine(
                combination,
                group.members,
                self.parents.trunk,
                seed=seed,
                layer_choice=self._layers(group) if combination.selection == "franken" else None,
                importance=self._importance(group) if combination.selection == "dfs" else None,
                options=self._options,
            )
        except ForgeError as error:
            return Made(self.linear(group), error.message)
        broken = first_not_finite(child)
        return Made(self.linear(group), f"{broken} is not finite") if broken else Made(child)

    def linear(self, group: Group) -> dict[str, Tensor]:
        return merged("linear", group.members, None, None, self._seed)

    def _layers(self, group: Group) -> dict[str, int]:
        if group.layers is None:
            group.layers = choose_layers(group.members, self.linear(group), self._sheet.loss)
        return group.layers

    def _importance(self, group: Group) -> list[dict[str, Tensor]]:
        if group.importance is None:
            group.importance = [self._fisher(member) for member in group.members]
        return group.importance

    def _fisher(self, member: Tensors) -> dict[str, Tensor]:
        put_tensors(self._model, member)
        self._model.requires_grad_(True)
        try:
            return evened(fisher(self._model, self._sheet.questions.batches, answer_loss))
        finally:
            self._model.requires_grad_(False)


def answer_loss(model: nn.Module, batch: Batch) -> Tensor:
    output: Any = functional_call(model, {}, (), {"input_ids": batch.ids_BT, "attention_mask": batch.mask_BT})
    return F.cross_entropy(output.logits[:, -batch.keep :][batch.row_M, batch.column_M].float(), batch.target_M)
