"""PerformanceProfiler: load time, decode steps and memory of the file, beside the same model uncompressed.

Times are told and decide nothing.
"""

from __future__ import annotations

import copy
import statistics
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from agentforge.codecs.model import load_compressed
from agentforge.edge.timing import model_seconds
from agentforge.kit.measure import Measurement
from agentforge.phase8_compression.start import Start
from agentforge.train.engine import use_kernels
from agentforge.train.state import own_tensors

COMPRESSED, UNCOMPRESSED = "compressed", "uncompressed"
_LOADS = 3
_SEEN = 32  # tokens before the steps that are timed
_MARGIN = 4


def profile(start: Start, model: Any, directory: Path) -> list[Measurement]:
    """`model`: what `directory` was made of. Both compute as chat would have them, by the same kernels."""
    seconds = [_load(directory) for _ in range(_LOADS)]
    loaded, whole = load_compressed(directory), copy.deepcopy(model)
    held = {COMPRESSED: _held(loaded), UNCOMPRESSED: _held(whole)}
    for one in (loaded, whole):
        use_kernels(one)
    steps = _steps(model, start.config.evaluation.steps)
    timed = model_seconds({COMPRESSED: loaded, UNCOMPRESSED: whole}, seen=_SEEN, steps=steps)
    return [_loading(seconds), *_speed(timed, steps), *_memory(held)]


def _load(directory: Path) -> float:
    began = perf_counter()
    load_compressed(directory)
    return perf_counter() - began


def _loading(seconds: list[float]) -> Measurement:
    method = f"median of {len(seconds)} loads of model.forge, decoding included"
    return Measurement("compression/load_s", statistics.median(seconds), "s", method, len(seconds))


def _steps(model: Any, asked: int) -> int:
    most = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return asked if most is None else max(1, min(asked, most - _SEEN - _MARGIN))


def _speed(seconds: dict[str, list[float]], steps: int) -> list[Measurement]:
    threads = torch.get_num_threads()
    method = f"{steps} decode steps after {_SEEN} tokens, batch 1, {threads} threads, both in turns in one process"
    middle = {name: float(np.median(each)) for name, each in seconds.items()}
    found = []
    for name, prefix in ((COMPRESSED, "compression"), (UNCOMPRESSED, f"compression/{UNCOMPRESSED}")):
        low, high = (float(each) for each in np.percentile(seconds[name], [25, 75]))
        told = f"median of {method}; spread: between quartiles"
        found.append(Measurement(f"{prefix}/latency_ms", 1e3 * middle[name], "ms", told, steps, 1e3 * (high - low)))
        found.append(
            Measurement(
                f"{prefix}/throughput", 1 / middle[name], "1/s", f"tokens, one over the median of {method}", steps
            )
        )
    ratio = middle[COMPRESSED] / middle[UNCOMPRESSED]
    return [*found, Measurement("compression/latency_ratio", ratio, "1", f"of medians: {method}", steps)]


def _held(model: Any) -> int:
    return sum(each.numel() * each.element_size() for each in own_tensors(model).values())


def _memory(held: dict[str, int]) -> list[Measurement]:
    method = "bytes of the tensors that are held once it is loaded"
    own, whole = held[COMPRESSED], held[UNCOMPRESSED]
    return [
        Measurement("compression/memory_usage_mb", own / 2**20, "MiBy", method, 1),
        Measurement("compression/memory_ratio", own / whole, "1", f"{method}, to the uncompressed model's", 1),
    ]
