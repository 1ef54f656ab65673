"""Which token comes next. The nth token's draw depends on the seed and n alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .errors import EdgeError


class Sampling(NamedTuple):
    temperature: float = 0.0  # 0: always the likeliest
    top_k: int = 0  # 0: all
    top_p: float = 0.0  # 0: all
    seed: int = 0

    def faults(self) -> list[str]:
        found = []
        if not 0 <= self.temperature < float("inf"):  # so that NaN is refused, too
            found.append(f"temperature must be 0 or more and finite, not {self.temperature:g}")
        if self.top_k < 0:
            found.append(f"top_k must be 0 or more, not {self.top_k}")
        if not 0 <= self.top_p <= 1:
            found.append(f"top_p must be between 0 and 1, not {self.top_p:g}")
        if not 0 <= self.seed < 1 << 64:
            found.append(f"seed must fit into 64 bits, not {self.seed}")
        return found


def choose_token(logits_V: np.ndarray, sampling: Sampling, step: int) -> int:
    if not np.isfinite(logits_V).all():
        raise EdgeError("the model gave a logit that is no finite number: its file or its state is broken")
    if sampling.temperature == 0:
        return int(logits_V.argmax())
    share_V = shares(logits_V, sampling)
    random = np.random.Generator(np.random.Philox(key=sampling.seed, counter=step))
    reached_V = share_V.cumsum()
    return int(reached_V.searchsorted(random.random() * reached_V[-1], side="right"))


def shares(logits_V: np.ndarray, sampling: Sampling) -> np.ndarray:
    """Probability of each token after temperature, top-k and top-p, in double precision."""
    scaled_V = (logits_V.astype(np.float64) - logits_V.max()) / sampling.temperature
    share_V: np.ndarray = np.exp(scaled_V)
    ranked_V = np.argsort(-share_V, kind="stable")
    kept = len(ranked_V) if sampling.top_k == 0 else min(sampling.top_k, len(ranked_V))
    share_V[ranked_V[kept:]] = 0
    share_V /= share_V.sum()
    if 0 < sampling.top_p < 1:
        before_V = share_V[ranked_V].cumsum() - share_V[ranked_V]
        share_V[ranked_V[before_V >= sampling.top_p]] = 0
        share_V /= share_V.sum()
    return share_V
