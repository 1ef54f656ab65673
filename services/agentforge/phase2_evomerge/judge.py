"""Scores of candidates on the selection split. Of several ranks each evaluates its share; only numbers are told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agentforge.kit import ranks
from agentforge.phase2_evomerge.evaluation.batches import Encoded
from agentforge.phase2_evomerge.evaluation.evaluate import Evaluator
from agentforge.phase2_evomerge.evaluation.fitness import FitnessWeights, Terms, composite, reference
from agentforge.phase2_evomerge.evaluation.flops import flop_cost, model_bytes
from agentforge.phase2_evomerge.evaluation.outcome import Outcome
from agentforge.phase2_evomerge.operators.tensors import Tensors, digest
from agentforge.phase2_evomerge.parents import Parents
from agentforge.phase2_evomerge.sketch import Sketch


@dataclass(frozen=True, eq=False)
class Score:
    fitness: float  # composite, 1.0 is the parents' mean; minus infinity where there is a flaw
    terms: Terms
    outcome: Outcome
    sketch: NDArray[np.float64]  # a few of its weights, to tell how far apart models are


class Judge:
    """Of one split: the parents are scored by it first, and are what children are held against."""

    def __init__(self, parents: Parents, questions: Encoded, weights: FitnessWeights) -> None:
        self.questions, self.weights = questions, weights
        self._cost = flop_cost(parents.child, length=32)
        self._bytes = model_bytes(parents.tensors[0])
        self._child = Evaluator(parents.child, questions, digest=digest)
        self._sketch = Sketch(parents.tensors[0])
        outcomes = [
            Evaluator(model, questions).outcome(tensors)
            for model, tensors in zip(parents.models, parents.tensors, strict=True)
        ]
        self.reference = reference([self._terms(outcome) for outcome in outcomes])
        self.parents = tuple(
            self._score(outcome, self._sketch.of(tensors))
            for outcome, tensors in zip(outcomes, parents.tensors, strict=True)
        )

    @property
    def evaluated(self) -> int:
        return self._child.evaluated

    def score(self, tensors: Tensors) -> Score:
        return self._score(self._child.outcome(tensors), self._sketch.of(tensors))

    def loss(self, tensors: Tensors) -> float:
        return self._child.outcome(tensors).loss

    def scores(self, makers: Sequence[Callable[[], Tensors]]) -> list[Score]:
        """Candidates are made one at a time, each by the rank that evaluates it."""
        own = ranks.current()
        if own.world == 1:
            return [self.score(make()) for make in makers]
        packed = torch.zeros(len(makers), sum(self._lengths), dtype=torch.float64)
        for number, make in enumerate(makers):
            if number % own.world == own.rank:
                packed[number] = self._packed(self.score(make()))
        return [self._unpacked(row) for row in own.add_up(packed)]

    def _terms(self, outcome: Outcome) -> Terms:
        return Terms(outcome.perplexity, outcome.accuracy, self._cost.per_token(outcome.steps), self._bytes)

    def _score(self, outcome: Outcome, sketch: NDArray[np.float64]) -> Score:
        terms = self._terms(outcome)
        return Score(composite(terms, self.reference, self.weights), terms, outcome, sketch)

    @property
    def _lengths(self) -> list[int]:
        """Of what is told of a candidate: losses, accuracies, steps, predictions, sketch."""
        sheet = self.questions
        predictions = sheet.spans[sheet.scored[-1]].stop
        return [len(sheet.spans), len(sheet.scored), 1, predictions, self._sketch.size]

    def _packed(self, score: Score) -> Tensor:
        one = score.outcome
        numbers = [
            *one.nats.values(),
            *one.accuracies.values(),
            one.steps,
            *one.predicted_A.tolist(),
            *score.sketch,
        ]
        return torch.tensor(numbers, dtype=torch.float64)

    def _unpacked(self, row: Tensor) -> Score:
        sheet = self.questions
        nats, accuracies, steps, predicted, sketch = (part.tolist() for part in torch.split(row, self._lengths))
        outcome = Outcome(
            dict(zip(sheet.spans, nats, strict=True)),
            dict(zip(sheet.scored, accuracies, strict=True)),
            np.array(predicted, np.int32),
            steps[0],
        )
        return self._score(outcome, np.array(sketch))
