"""Outcomes and fitness as reported numbers: names, units, how they were measured, and on how much."""

from __future__ import annotations

import math

from agentforge.kit.measure import Measurement
from agentforge.phase2_evomerge.evaluation.batches import Encoded
from agentforge.phase2_evomerge.evaluation.fitness import Terms
from agentforge.phase2_evomerge.evaluation.outcome import Outcome


def outcome_measurements(who: str, outcome: Outcome, questions: Encoded) -> list[Measurement]:
    """Accuracy and loss by family, and what fitness reads of them. A loss that is no number is left out."""
    prefix, split = f"evomerge/{who}", questions.split
    found = []
    for name, share in outcome.accuracies.items():
        count = questions.count(name)
        method = f"exact answers, teacher-forced, to items of the {split} split; spread: binomial standard error"
        found.append(Measurement(f"{prefix}/accuracy/{name}", share, "1", method, count, _error(share, count)))
    for name, nats in outcome.nats.items():
        tokens, count = questions.answer_tokens(name), questions.count(name)
        method = f"mean over {tokens:,} answer tokens of {count:,} questions of the {split} split"
        found += _finite(f"{prefix}/loss/{name}", nats, "nat", method, count)
    total = sum(questions.count(name) for name in outcome.nats)
    items = sum(questions.count(name) for name in outcome.accuracies)
    method = f"exponential of the mean loss over {len(outcome.nats)} families of the {split} split"
    found += _finite(f"{prefix}/perplexity", outcome.perplexity, "1", method, total)
    errors = [_error(share, questions.count(name)) for name, share in outcome.accuracies.items()]
    spread = math.sqrt(math.fsum(error**2 for error in errors)) / len(errors)
    method = f"mean over {len(errors)} families of the {split} split; spread: binomial standard error"
    found.append(Measurement(f"{prefix}/accuracy", outcome.accuracy, "1", method, items, spread))
    method = f"mean of {questions.tokens:,} tokens of the {split} split"
    found.append(Measurement(f"{prefix}/ponder_steps", outcome.steps, "1", method, total))
    return found


def fitness_measurements(who: str, terms: Terms, fitness: float, n: int) -> list[Measurement]:
    """`n`: the questions that fitness was measured on. A fitness of minus infinity is a flaw, not a number."""
    prefix = f"evomerge/{who}"
    against = "weighted sum of perplexity, accuracy, FLOPs and bytes, each against the parents' mean"
    return [
        *_finite(f"{prefix}/fitness", fitness, "1", against, n),
        Measurement(
            f"{prefix}/flops_per_token",
            terms.flops_per_token,
            "FLOP",
            "matrix products counted in a forward, at the measured mean of ponder steps",
            1,
        ),
        Measurement(f"{prefix}/bytes", terms.bytes, "By", "counted in the tensors, tied ones once", 1),
    ]


def _finite(name: str, value: float, unit: str, method: str, n: int) -> list[Measurement]:
    return [Measurement(name, value, unit, method, n)] if math.isfinite(value) else []


def _error(share: float, count: int) -> float:
    return math.sqrt(share * (1 - share) / count)
