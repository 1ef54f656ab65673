"""Creativity: how often two replies are put differently, their content aside.

Of n replies, reply i counts if it carries its answer in a form that can be read (manner.read); f(i) is that form
with the answer masked. The score is

    the share of pairs (i, j), i < j, where both count and f(i) differs from f(j).

It is 0 where all say the same, 1 - 1/k where k forms are equally frequent, and never gained by garbage: what cannot
be read, or lost the answer, differs from nothing. Greedy replies vary little, so it is measured on samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agentforge.data.manner import OPENINGS, read
from agentforge.kit.measure import Measurement
from agentforge.phase6_baking.persona.dialogues import Dialogue
from agentforge.phase6_baking.persona.intervals import Floats, bootstrapped
from agentforge.phase6_baking.persona.rules import carried, stated

_METHOD = "share of pairs of replies that both carry their answer and are put differently"


def form(dialogue: Dialogue, reply: str) -> str | None:
    """The reply with its answer masked; None where it does not count."""
    reading = read(reply)
    if reading is None or not carried(dialogue, reply) or stated(reply, dialogue.answer) != [reading.answer]:
        return None
    return reading.form


def lively(dialogue: Dialogue, reply: str) -> bool:
    """One reply's part in it: it counts, and has an opening, which a plain reply has not."""
    found = form(dialogue, reply)
    return found is not None and found.startswith(tuple(opening for opening in OPENINGS if opening))


def creativity(
    dialogues: Sequence[Dialogue], replies: Sequence[str], *, name: str, resamples: int, seed: int
) -> list[Measurement]:
    """Two replies at least. The interval is over questions, with all replies to each."""
    codes = _codes([form(one, reply) for one, reply in zip(dialogues, replies, strict=True)])
    one = Measurement.of_samples(name, _differing(codes).tolist(), "1", _METHOD)
    questions = [(dialogue.context, dialogue.question) for dialogue in dialogues]
    numbers = {question: number for number, question in enumerate(dict.fromkeys(questions))}
    again = _Again(codes, np.array([numbers[question] for question in questions], np.int64))
    return bootstrapped(one, again, len(numbers), resamples=resamples, seed=seed)


class _Again:
    """The score where each question counts as often as it was drawn. No reply is compared with itself."""

    def __init__(self, codes: NDArray[np.int64], questions: NDArray[np.int64]) -> None:
        self.codes, self.questions = codes, questions

    def __call__(self, drawn: NDArray[np.int64]) -> float:
        weights = np.bincount(drawn, minlength=self.questions.max() + 1)[self.questions].astype(np.float64)
        counts = self.codes >= 0
        forms = np.bincount(self.codes[counts], weights[counts], minlength=1)
        pairs = weights.sum() ** 2 - np.square(weights).sum()
        return float((forms.sum() ** 2 - np.square(forms).sum()) / pairs) if pairs else 0.0


def _codes(forms: Sequence[str | None]) -> NDArray[np.int64]:
    """[replies]: a number for each form, -1 for none."""
    known = {form: code for code, form in enumerate(sorted({each for each in forms if each is not None}))}
    return np.array([-1 if each is None else known[each] for each in forms], np.int64)


def _differing(codes: NDArray[np.int64]) -> Floats:
    """[replies]: for each, the share of the others that counts and differs; their mean is that of all pairs."""
    counts = np.bincount(codes[codes >= 0], minlength=1)
    same = np.where(codes >= 0, counts[codes], 0)
    return np.where(codes >= 0, counts.sum() - same, 0) / (len(codes) - 1)
