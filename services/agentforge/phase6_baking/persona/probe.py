"""A trained probe for helpfulness: logistic regression over n-grams of words and letters, content masked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from agentforge.data.manner import spoken
from agentforge.kit.errors import FailedPrecondition
from agentforge.kit.measure import Measurement
from agentforge.kit.rng import Rng
from agentforge.phase6_baking.configs.persona import ProbeConfig
from agentforge.phase6_baking.persona.bank import ANSWER, KINDS, NUMBER, Labelled, bank, labelled
from agentforge.phase6_baking.persona.dialogues import Dialogue
from agentforge.phase6_baking.persona.intervals import Floats, plain_share, share
from agentforge.phase6_baking.persona.letters import Letters
from agentforge.phase6_baking.persona.rules import carried, stated

_LETTERS = 4  # of the longest n-gram of letters
_MANY, _ODD = 3, 2  # words, and all above
_AT_ONCE = 1_024  # texts: their rows are dense
_RARE = 2  # replies that a feature must be in
_METHOD = "labelled replies made of phrases that the probe never saw, half of them helpful"


def masked(dialogue: Dialogue, reply: str) -> str:
    """What the probe reads: the answer that counts (rules.carried) masked as such, every other number as one."""
    text = spoken(reply)
    if carried(dialogue, reply):
        (answer,) = stated(reply, dialogue.answer)
        text = re.sub(rf"(?<!\w){re.escape(answer)}(?!\w)", ANSWER, text)
    return re.sub(r"-?\d+", NUMBER, text)


def features(text: str, letters: Letters) -> set[str]:
    """Words, pairs of words in a row and letters inside of words, each apart before and behind the answer; and how
    many words are where, since an offer takes some, and how many of them look like noise."""
    before, answer, after = text.lower().partition(ANSWER)
    found = {answer or "no answer"}
    for side, part in (("<", before), (">", after)):
        words = re.findall(r"<\w+>|\w+|[^\w\s]", part)
        framed = ["^", *words, "$"]
        found |= {f"{side}{word}" for word in words} | {f"{side}{a} {b}" for a, b in pairwise(framed)}
        found |= {f"{side}~{piece}" for word in words if word.isalpha() for piece in _letters(f"_{word}_")}
        found.add(f"{side}{min(len([word for word in words if word.isalpha()]), _MANY)}")
        found.add(f"{side}odd {min(letters.odd(part), _ODD)}")
    return found


def _letters(word: str) -> list[str]:
    return [word[place : place + size] for size in range(3, _LETTERS + 1) for place in range(len(word) - size + 1)]


@dataclass(frozen=True)
class Probe:
    """`weights` [features + 1], the last of them the bias; `accuracy` is measured on phrases it never saw."""

    letters: Letters
    places: dict[str, int]
    weights: Floats
    accuracy: tuple[Measurement, ...]
    least_accuracy: float

    @classmethod
    def trained(cls, config: ProbeConfig, seed: int, *, name: str = "baking/probe") -> Probe:
        """Deterministic: the same seed makes the same phrases, replies and weights."""
        replies = _corpus(seed, config.replies, held_out=False)
        letters = Letters(phrase for phrases in bank(seed, held_out=False).values() for phrase in phrases)
        found = [features(each.text, letters) for each in replies]
        places = _places(found)
        weights = _fitted(_matrix(found, places), _targets(replies), config)
        untested = cls(letters, places, weights, (), config.least_accuracy)
        accuracy = _accuracy(untested, _corpus(seed, config.held_out, held_out=True), name)
        return replace(untested, accuracy=tuple(accuracy))

    def chances(self, texts: Sequence[str]) -> Floats:
        """[texts]: of being helpful."""
        found = [features(text, self.letters) for text in texts]
        parts = [found[start : start + _AT_ONCE] for start in range(0, len(found), _AT_ONCE)]
        chances = [_sigmoid(_matrix(part, self.places) @ self.weights) for part in parts]
        return np.concatenate(chances) if chances else np.zeros(0)

    def helpful(self, dialogues: Sequence[Dialogue], replies: Sequence[str]) -> list[bool]:
        """Refuses where the probe is not good enough to be believed."""
        if not self.accuracy or self.accuracy[0].value < self.least_accuracy:
            known = f"{self.accuracy[0].value:.3f}" if self.accuracy else "not measured"
            message = f"the helpfulness probe's held-out accuracy is {known}, below {self.least_accuracy}"
            step = "Let it learn from more replies (persona.probe.replies), or lower persona.probe.least_accuracy."
            field = "persona.probe.least_accuracy"
            raise FailedPrecondition(message, reason="PROBE_TOO_WEAK", field=field, next_step=step)
        texts = [masked(one, reply) for one, reply in zip(dialogues, replies, strict=True)]
        return [bool(chance > 0.5) for chance in self.chances(texts)]


def _corpus(seed: int, count: int, *, held_out: bool) -> list[Labelled]:
    rng = Rng(seed, "baking/probe/replies", int(held_out)).python()
    return labelled(bank(seed, held_out=held_out), count, rng)


def _accuracy(probe: Probe, replies: Sequence[Labelled], name: str) -> list[Measurement]:
    """All replies, with the interval, then each kind."""
    found = probe.chances([each.text for each in replies]) > 0.5
    right = [bool(guess == each.helpful) for guess, each in zip(found, replies, strict=True)]
    measurements = share(f"{name}/accuracy", right, _METHOD, units=len(right))
    for kind in KINDS:
        of_kind = [one for one, each in zip(right, replies, strict=True) if each.kind == kind]
        measurements.append(plain_share(f"{name}/accuracy/{kind}", of_kind, f"of these, the {kind} ones"))
    return measurements


def _places(found: Sequence[set[str]]) -> dict[str, int]:
    counts = Counter(feature for each in found for feature in each)
    return {feature: place for place, feature in enumerate(sorted(f for f, n in counts.items() if n >= _RARE))}


def _matrix(found: Sequence[set[str]], places: dict[str, int]) -> Floats:
    """[texts, features + 1] of unit rows, so long replies are no surer than short ones, and a bias."""
    matrix = np.zeros((len(found), len(places) + 1))
    for row, each in zip(matrix, found, strict=True):
        known = [places[feature] for feature in each if feature in places]
        row[known] = 1 / max(1, len(known)) ** 0.5
    matrix[:, -1] = 1
    return matrix


def _targets(replies: Sequence[Labelled]) -> Floats:
    return np.array([each.helpful for each in replies], np.float64)


def _fitted(rows_NF: Floats, targets_N: Floats, config: ProbeConfig) -> Floats:
    """Nesterov's gradient descent; the rate is the inverse of a bound on the loss's curvature: no divergence."""
    weights = ahead = np.zeros(rows_NF.shape[1])
    rate = 1 / (0.25 * np.square(rows_NF).sum(1).mean() + config.decay)
    for step in range(config.steps):
        gradient = rows_NF.T @ (_sigmoid(rows_NF @ ahead) - targets_N) / len(targets_N) + config.decay * ahead
        before, weights = weights, ahead - rate * gradient
        ahead = weights + step / (step + 3) * (weights - before)
    return weights


def _sigmoid(values: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(values, -30, 30)))
