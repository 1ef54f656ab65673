"""A candidate's weights to its numbers: one forward pass of one model with borrowed tensors, nothing copied.

A candidate's numbers depend on its weights and the questions alone: batches are fixed, sums run in the questions'
order in float64, and nothing is shared between candidates. So it does not matter which rank evaluates whom. (The
last bits may depend on the machine and on the number of threads, as all of PyTorch's do.)

An item is right where the model, told the answer so far, finds every next token of it likeliest, the end included.
That is the item's own answer said greedily, token by token. train.evaluate scores what is said as text, and so also
accepts other tokens of the same text and other worked steps to the same answer: it is never stricter than this.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, vmap

from agentforge.kit.errors import InvalidInput
from agentforge.phase2_evomerge.evaluation.batches import Batch, Encoded
from agentforge.phase2_evomerge.evaluation.outcome import Outcome
from agentforge.train.state import own_tensors

Tensors = Mapping[str, Tensor]
Numbers = tuple[Tensor, Tensor, Tensor]
"""(nats_A, predicted_A, steps): float64, int32, and the summed ponder steps of all tokens, int64."""


class Evaluator:
    """`digest` names equal weights alike, so that none is evaluated twice. `together` candidates share a forward
    pass (torch.func.vmap over stacked weights), which costs their copies."""

    def __init__(
        self,
        model: nn.Module,
        questions: Encoded,
        *,
        digest: Callable[[Tensors], str] | None = None,
        together: int = 1,
    ) -> None:
        self.own = own_tensors(model)
        self.model, self.digest, self.together = model, digest, together
        self.questions = questions.to(next(iter(self.own.values())).device)
        self.cache: dict[str, Outcome] = {}
        self.evaluated = 0  # candidates that were truly run
        known = inspect.signature(model.forward).parameters
        self._fixed: dict[str, Any] = {"use_cache": False} if "use_cache" in known else {}
        self._keeps = "logits_to_keep" in known

    def outcome(self, tensors: Tensors) -> Outcome:
        return self.outcomes([tensors])[0]

    def outcomes(self, candidates: Sequence[Tensors]) -> list[Outcome]:
        """In the candidates' order; of equal ones each object once where there is a digest."""
        if self.digest is None:
            return self._run(candidates)
        names = [self.digest(tensors) for tensors in candidates]
        new = {name: tensors for name, tensors in zip(names, candidates, strict=True) if name not in self.cache}
        self.cache.update(zip(new, self._run(list(new.values())), strict=True))
        return [self.cache[name] for name in names]

    @torch.inference_mode()
    def _run(self, candidates: Sequence[Tensors]) -> list[Outcome]:
        self.model.eval()
        self.evaluated += len(candidates)
        fitted = [self._fitted(tensors) for tensors in candidates]
        if self.together == 1:
            return [self._outcome(*self._numbers(tensors)) for tensors in fitted]
        found: list[Outcome] = []
        for start in range(0, len(fitted), self.together):
            group = fitted[start : start + self.together]
            found += [self._outcome(*numbers) for numbers in self._stacked(group)]
        return found

    def _fitted(self, tensors: Tensors) -> dict[str, Tensor]:
        """Names and shapes are the model's: functional_call would silently use its own tensor for a missing one."""
        wrong = sorted(self.own.keys() ^ tensors.keys()) or sorted(
            name for name, own in self.own.items() if tensors[name].shape != own.shape
        )
        if wrong:
            message = f"the candidate's tensors are not this model's; they differ in {', '.join(wrong[:3])}"
            raise InvalidInput(message, reason="SHAPE_MISMATCH", field=wrong[0])
        return {name: tensors[name].to(own.device, own.dtype) for name, own in self.own.items()}

    def _numbers(self, tensors: Tensors) -> Numbers:
        sheet = self.questions
        device = sheet.batches[0].ids_BT.device
        nats_A = torch.empty(len(sheet.target_A), dtype=torch.float64, device=device)
        predicted_A = torch.empty(len(sheet.target_A), dtype=torch.int32, device=device)
        steps = torch.zeros((), dtype=torch.int64, device=device)
        for batch in sheet.batches:
            nats_M, predicted_M, batch_steps = self._batch(tensors, batch)
            nats_A[batch.place_M], predicted_A[batch.place_M] = nats_M, predicted_M
            steps += batch_steps
        return nats_A, predicted_A, steps

    def _stacked(self, group: Sequence[Tensors]) -> Iterator[Numbers]:
        """Always `together` at once, the last one repeated: other shapes would give other last bits."""
        full = [*group, *[group[-1]] * (self.together - len(group))]
        stacked = {name: torch.stack([tensors[name] for tensors in full]) for name in self.own}
        pieces = [
            vmap(lambda tensors, b=batch: self._batch(tensors, b))(stacked) for batch in self.questions.batches
        ]
        places_A = torch.cat([batch.place_M for batch in self.questions.batches]).argsort()
        nats_CA = torch.cat([nats_CM for nats_CM, _, _ in pieces], 1)[:, places_A]
        predicted_CA = torch.cat([predicted_CM for _, predicted_CM, _ in pieces], 1)[:, places_A]
        steps_C = torch.stack([steps for _, _, steps in pieces]).sum(0)
        return zip(nats_CA[: len(group)], predicted_CA[: len(group)], steps_C[: len(group)], strict=True)

    def _batch(self, tensors: Tensors, batch: Batch) -> Numbers:
        wanted = self._fixed | ({"logits_to_keep": batch.keep} if self._keeps else {})
        inputs = {"input_ids": batch.ids_BT, "attention_mask": batch.mask_BT, **wanted}
        output = functional_call(self.model, dict(tensors), (), inputs)
        logits_MV = output.logits[:, -batch.keep :][batch.row_M, batch.column_M].float()
        nats_M = F.cross_entropy(logits_MV, batch.target_M, reduction="none").double()
        ponder_BT = getattr(output, "ponder_steps", None)
        steps_BT = batch.mask_BT if ponder_BT is None else ponder_BT * batch.mask_BT
        return nats_M, logits_MV.argmax(-1).int(), steps_BT.sum()

    def _outcome(self, nats_A: Tensor, predicted_A: Tensor, steps: Tensor) -> Outcome:
        sheet = self.questions
        nats, predicted = nats_A.cpu().numpy(), predicted_A.cpu().numpy()
        # Without a loss there is no answer, whatever argmax makes of NaN.
        right = (predicted == sheet.target_A) & np.isfinite(nats)
        accuracies = {
            name: float(np.logical_and.reduceat(right[sheet.spans[name]], sheet.starts[name]).mean())
            for name in sheet.scored
        }
        losses = {name: float(nats[span].mean()) for name, span in sheet.spans.items()}
        items = predicted[: sheet.item_answers].copy()
        return Outcome(losses, accuracies, items, int(steps) / sheet.tokens)
