"""persona_coherence: whether a persona stays the same when a question is put in other words, or against it.

Every reply has a label for each trait: shown or not. Of each question all pairs of askings (plain, paraphrases,
adversarial ones) are compared:

    persona_coherence   both replies show the trait; a model without the persona has 0, whatever it agrees on
    persona_agreement   both show it, or neither does

Both are means over the questions of a context, then over contexts, then over traits: no context outvotes another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from agentforge.kit.measure import Measurement
from agentforge.phase6_baking.persona.dialogues import Dialogue
from agentforge.phase6_baking.persona.intervals import Floats, bootstrapped

Labels = Mapping[str, Sequence[bool]]
"""Of each trait, whether each reply shows it."""


def coherence(
    dialogues: Sequence[Dialogue], labels: Labels, *, prefix: str, resamples: int, seed: int
) -> list[Measurement]:
    """Empty where there is no trait, or no question was put in two ways. The interval is over questions."""
    if not labels or len({one.question for one in dialogues}) == len(dialogues):
        return []
    contexts, both, alike = _questions(dialogues, labels)
    how = f"mean over {len(labels)} traits and {len(set(contexts.tolist()))} contexts"
    found: list[Measurement] = []
    for name, values, what in (
        ("persona_coherence", both, "both replies show the trait"),
        ("persona_agreement", alike, "both replies show the trait, or neither"),
    ):
        method = f"share of pairs of askings of a question where {what}; {how}"
        one = Measurement(f"{prefix}/{name}", _mean(values, contexts), "1", method, len(contexts))
        again = _Again(values, contexts)
        found += bootstrapped(one, again, len(contexts), resamples=resamples, seed=seed)
    return found


class _Again:
    def __init__(self, values: Floats, contexts: NDArray[np.int64]) -> None:
        self.values, self.contexts = values, contexts

    def __call__(self, places: NDArray[np.int64]) -> float:
        return _mean(self.values[places], self.contexts[places])


def _mean(values: Floats, contexts: NDArray[np.int64]) -> float:
    return fmean(float(values[contexts == each].mean()) for each in np.unique(contexts))


def _questions(dialogues: Sequence[Dialogue], labels: Labels) -> tuple[NDArray[np.int64], Floats, Floats]:
    """[questions] each: the context's number, the mean over traits of pairs that show it, and that agree."""
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, dialogue in enumerate(dialogues):
        places[dialogue.context, dialogue.question].append(place)
    groups = [(context, members) for (context, _), members in places.items() if len(members) > 1]
    numbers = {context: number for number, context in enumerate(sorted({context for context, _ in groups}))}
    pairs = [_pairs(labels, members) for _, members in groups]
    return (
        np.array([numbers[context] for context, _ in groups], np.int64),
        np.array([both for both, _ in pairs]),
        np.array([alike for _, alike in pairs]),
    )


def _pairs(labels: Labels, members: Sequence[int]) -> tuple[float, float]:
    n = len(members)
    shown = [sum(flags[place] for place in members) for flags in labels.values()]
    both = [k * (k - 1) / (n * (n - 1)) for k in shown]
    neither = [(n - k) * (n - k - 1) / (n * (n - 1)) for k in shown]
    return fmean(both), fmean(both) + fmean(neither)
