"""What a decode step takes here: every architecture of the front in turns with the input, in one process.

By the runner in C++ where the model has one (all its layers ternary), else by PyTorch, step by step with a cache.
Bits of plain matrices and zeros change neither, so candidates of one architecture share one measured speed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from agentforge.kit.errors import InvalidInput, MissingTool
from agentforge.models.ternary.kernels.decode import Decoder
from agentforge.models.ternary.linear import frozen, ternary_layers
from agentforge.phase7_adas.search.front import Latency

STEPS = 32  # decode steps of one timing
_ID = 3  # of any token: which one does not matter

Decode = Callable[[], float]
"""Seconds of STEPS steps at the end of a context, whose beginning is not timed."""


def latencies(models: Mapping[str, Any], context: int, repeats: int) -> dict[str, Latency]:
    """By the names given; the first is the input."""
    engine = "decoder" if all(_has_decoder(model, context) for model in models.values()) else "torch"
    decode = {name: (_native if engine == "decoder" else _eager)(model, context) for name, model in models.items()}
    for one in decode.values():
        one()  # warm
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(repeats):
        for name, one in decode.items():
            seconds[name].append(one() / STEPS)
    whole = seconds[next(iter(models))]
    return {name: _latency(times, whole, engine) for name, times in seconds.items()}


def _latency(times: list[float], whole: list[float], engine: str) -> Latency:
    ratios = [own / input_ for own, input_ in zip(times, whole, strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4)
    spread = (high - low) / 1.349  # as of a normal distribution
    return Latency(1e3 * statistics.median(times), statistics.median(ratios), spread, len(times), engine)


def _has_decoder(model: Any, context: int) -> bool:
    if not ternary_layers(model) or model.device.type != "cpu":
        return False
    try:
        Decoder(model, context)
    except (InvalidInput, MissingTool):
        return False
    return True


def _native(model: Any, context: int) -> Decode:
    decoder, prompt = Decoder(model, max(context, STEPS + 1)), [_ID] * max(1, context - STEPS)

    def decode() -> float:
        decoder.reset()
        decoder.step(prompt)
        begun = time.perf_counter()
        for _ in range(STEPS):
            decoder.step([_ID])
        return time.perf_counter() - begun

    return decode


def _eager(model: Any, context: int) -> Decode:
    prompt = torch.full((1, max(1, context - STEPS)), _ID, device=model.device)

    @torch.no_grad()
    def decode() -> float:
        with frozen(model):
            past = model(input_ids=prompt, use_cache=True).past_key_values
            begun = time.perf_counter()
            for _ in range(STEPS):
                past = model(input_ids=prompt[:, :1], past_key_values=past, use_cache=True).past_key_values
            return time.perf_counter() - begun

    return decode
