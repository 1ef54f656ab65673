"""Which thoughts help, whether coherence tells which, and how far thoughts move predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.kit.errors import InvalidInput
from agentforge.kit.measure import Measurement
from agentforge.models.thoughts.sampling import entropy
from agentforge.models.thoughts.thinker import Thinker
from agentforge.phase3_quietstar.coherence import Coherence, coherence
from agentforge.phase3_quietstar.heldout import Served, readings, resting, served, thoughts_of_all
from agentforge.phase3_quietstar.loss import divergence, log_likelihood

BATCH = 32
NAMES = (*Coherence._fields, "score")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Usefulness:
    """Of each thought alone, item by item in batches of similar length."""

    gain: Array  # nats by which the tokens that it serves are likelier than by the plain model, summed
    coherence: dict[str, Array]  # the four parts and the score

    @property
    def correlations(self) -> dict[str, float | None]:
        """Spearman's, of each with the gain; None where one of the two does not vary."""
        return {name: spearman(values, self.gain) for name, values in self.coherence.items()}

    def measurements(self) -> list[Measurement]:
        """The gain, and the correlations that there are."""
        n, found = len(self.gain), self.correlations
        gain = Measurement.of_samples(
            "quietstar/usefulness/gain",
            self.gain.tolist(),
            "nat",
            f"summed over the tokens of each of {n:,} thoughts",
        )
        method = f"Spearman's rank correlation with the gain of {n:,} single thoughts"
        names = [(f"quietstar/usefulness/correlation/{name}", value) for name, value in found.items()]
        return [gain, *(Measurement(name, value, "1", method, n) for name, value in names if value is not None)]


def usefulness(thinker: Thinker, codec: Codec, items: Sequence[Item], *, batch: int = BATCH) -> Usefulness:
    """At the places where the habits think. A thought that serves no token of the model's own is left out."""
    gains: list[Tensor] = []
    parts: dict[str, list[Tensor]] = {name: [] for name in NAMES}
    temperature, tokens = thinker.habits.sampling.temperature, thinker.habits.sampling.length + 2
    with resting(thinker):
        every = thoughts_of_all(thinker, codec, items, batch)
        for reading in readings(thinker, codec, items, batch, tokens):
            for some in served(thinker, reading, every, tokens):
                counted_BP = some.counted_BPA.any(-1)
                gains.append(_gain(some)[counted_BP].flatten())
                found = coherence(reading.text, some.thoughts, some.told, thinker.marks, temperature)
                for name in NAMES:
                    parts[name].append(getattr(found, name)[counted_BP].flatten())
    _check_any(gains)
    return Usefulness(_array(gains), {name: _array(values) for name, values in parts.items()})


def _gain(some: Served) -> Tensor:
    """Of each thought, [B, P, N]."""
    counted_BPA, targets_BPA = some.counted_BPA, some.targets_BPA
    with_BPN = log_likelihood(some.mixed.logits_BPNAV, targets_BPA, counted_BPA)
    return with_BPN - log_likelihood(some.mixed.base_BPAV[:, :, None], targets_BPA, counted_BPA)


def what_changed(thinker: Thinker, codec: Codec, items: Sequence[Item], *, batch: int = BATCH) -> list[Measurement]:
    """How far predictions with thoughts are from plain ones, at the served tokens that the model is to say."""
    found: dict[str, list[Tensor]] = {"divergence": [], "changed": [], "entropy/off": [], "entropy/on": []}
    with resting(thinker):
        every = thoughts_of_all(thinker, codec, items, batch)
        for reading in readings(thinker, codec, items, batch):
            for some in served(thinker, reading, every):
                plain_XV, ours_XV = some.mixed.base_BPAV[some.counted_BPA], some.mean_BPAV[some.counted_BPA]
                found["divergence"].append(divergence(ours_XV, plain_XV))
                found["changed"].append(ours_XV.argmax(-1) != plain_XV.argmax(-1))
                found["entropy/off"].append(entropy(plain_XV))
                found["entropy/on"].append(entropy(ours_XV))
    _check_any(found["divergence"])
    return [_measured(name, _array(values)) for name, values in found.items()]


_METHODS = {
    "divergence": ("nat", "KL of predictions with thoughts from plain ones"),
    "changed": ("1", "share whose most likely token thoughts change"),
    "entropy/off": ("nat", "entropy of plain predictions"),
    "entropy/on": ("nat", "entropy of predictions with thoughts"),
}


def _measured(name: str, values: Array) -> Measurement:
    unit, what = _METHODS[name]
    method = f"{what}, over {len(values):,} tokens that thoughts serve"
    return Measurement.of_samples(f"quietstar/predictions/{name}", values.tolist(), unit, method)


def spearman(one: Array, other: Array) -> float | None:
    """None where one of them is the same throughout."""
    ranks = _ranks(one), _ranks(other)
    if min(each.std() for each in ranks) == 0:
        return None
    return float(np.corrcoef(*ranks)[0, 1])


def _ranks(values: Array) -> Array:
    """Equals share the mean of their ranks."""
    _, place, times = np.unique(values, return_inverse=True, return_counts=True)
    mean: Array = np.cumsum(times) - (times - 1) / 2
    return mean[place]


def _array(pieces: list[Tensor]) -> Array:
    joined: Any = torch.cat(pieces).double().cpu().numpy()
    return joined  # type: ignore[no-any-return]


def _check_any(pieces: list[Tensor]) -> None:
    if not sum(map(len, pieces)):
        message = "no place is hard enough for a thought: there is nothing to measure"
        raise InvalidInput(message, reason="NO_THOUGHTS", field="threshold", next_step="Lower the threshold.")
