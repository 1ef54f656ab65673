"""What thinking is told of while it is trained: the seeds' metrics, and thoughts to look at."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from agentforge.data.codec import Codec
from agentforge.kit import ranks
from agentforge.kit.audience import Audience
from agentforge.kit.measure import Measurement
from agentforge.models.thoughts.generate import Thoughts
from agentforge.models.thoughts.sampling import entropy
from agentforge.models.thoughts.thinker import Thinker
from agentforge.phase3_quietstar.coherence import Coherence, coherence
from agentforge.phase3_quietstar.training import Thought

_REPORT_S = 1.0  # seconds between events


class Report:
    """A `Listener`: means over a second's steps; every `every` steps and in the `last` some thoughts, too."""

    def __init__(self, context: Audience, codec: Codec, thinker: Thinker, every: int, last: int) -> None:
        self.context, self.codec, self.thinker = context, codec, thinker
        self.every, self.last = every, last
        self._since = time.monotonic()
        self._seen: list[dict[str, float]] = []

    def __call__(self, step: int, ids_BT: Tensor, thought: Thought) -> None:
        with torch.no_grad():
            self._seen.append(numbers(thought))
            showing = step % self.every == 0 or step == self.last
            if showing or time.monotonic() - self._since >= _REPORT_S:
                self._tell(step)
            if showing:
                self._show(step, ids_BT, thought)

    def _tell(self, step: int) -> None:
        n, own = len(self._seen), ranks.current()
        rows = "" if own.world == 1 else f", the first of {own.world} equal parts of each"
        for name in self._seen[0]:
            value, unit = fmean(one[name] for one in self._seen), _UNITS.get(name, "1")
            self.context.measure(
                Measurement(
                    f"quietstar/{name}", value, unit, f"mean over {n} training batches{rows}", n, None, step
                )
            )
        self._since, self._seen = time.monotonic(), []

    def _show(self, step: int, ids_BT: Tensor, thought: Thought) -> None:
        marks, sampling = self.thinker.marks, self.thinker.habits.sampling
        found = coherence(thought.text, thought.thoughts, thought.told, marks, sampling.temperature)
        there_BP = thought.thoughts.places_BP >= 0
        score = found.score[there_BP]
        for name, value in (("avg", score.mean()), ("min", score.min())):
            method = f"the seeds' four parts, thoughts of step {step}"
            full = f"quietstar/thought_coherence_{name}"
            self.context.measure(Measurement(full, float(value), "1", method, score.numel(), None, step))
        self.context.sample("quietstar/thoughts", {"step": step, **shown(self.codec, ids_BT, thought, found)})


_UNITS = {
    "reasoning_entropy": "nat",
    "thought_length_avg": "token",
    "gain": "nat",
    "loss/ahead": "nat",
    "loss/text": "nat",
}


def numbers(thought: Thought) -> dict[str, float]:
    there_BP = thought.thoughts.places_BP >= 0
    kept_BPN, tokens_BPN = thought.kept_BPN, thought.there_BPA.sum(-1)[..., None]
    count = (tokens_BPN * kept_BPN).sum().clamp_min(1)
    gain_BPN = (thought.likelihood_BPN - thought.plain_likelihood_BP[..., None]) * kept_BPN
    served_BPNA = thought.there_BPA[:, :, None] & kept_BPN[..., None]
    found = {
        "mixing_weight_alpha": _mean(thought.mixed.alpha_BPNA, served_BPNA),
        "thought_length_avg": _mean(thought.thoughts.length_BPN.float(), there_BP[..., None].expand_as(kept_BPN)),
        "reasoning_entropy": _mean(entropy(thought.mixed.logits_BPNAV), served_BPNA),
        "injection_points": there_BP.sum() / len(there_BP),
        "thoughts_filtered": 1 - kept_BPN.sum() / (there_BP.sum() * kept_BPN.shape[2]).clamp_min(1),
        "gain": gain_BPN.sum() / count,
        "loss/ahead": thought.losses["ahead"],
        "loss/text": thought.losses["text"],
    }
    return {name: float(value) for name, value in found.items()}


def _mean(value: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, value, 0.0).sum() / mask.sum().clamp_min(1)


def shown(codec: Codec, ids_BT: Tensor, thought: Thought, found: Coherence) -> dict[str, Any]:
    """The thoughts of the first row's first place: text so far, what was thought, what it gained in nats."""
    place = int(thought.thoughts.places_BP[0, 0])
    gained_N = thought.likelihood_BPN[0, 0] - thought.plain_likelihood_BP[0, 0]
    texts = thought_texts(codec.text, thought.thoughts, 0, 0)
    rows = zip(texts, gained_N.tolist(), found.score[0, 0].tolist(), strict=True)
    return {
        "text": codec.text(ids_BT[0, : place + 1].tolist()),
        "thoughts": [{"text": text, "gain": gain, "coherence": score} for text, gain, score in rows],
    }


def thought_texts(text: Callable[[list[int]], str], thoughts: Thoughts, row: int, place: int) -> list[str]:
    """Without the marks and what follows the end."""
    ids_NL, live_NL = thoughts.ids_BPNL[row, place], thoughts.live_BPNL[row, place]
    return [text(ids_L[live_L][1:-1].tolist()) for ids_L, live_L in zip(ids_NL, live_NL, strict=True)]
