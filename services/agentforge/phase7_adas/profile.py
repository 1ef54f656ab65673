"""How fast and how large: every file and PyTorch take turns at each step in one process. Nothing is estimated."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from agentforge.edge.graph.facts import GraphFacts
from agentforge.edge.timing import EAGER, decode_seconds
from agentforge.kit.measure import Measurement
from agentforge.phase7_adas.graphs import PLAIN, Files
from agentforge.phase7_adas.judging import who
from agentforge.phase7_adas.start import Start

_MARGIN = 3  # steps that are not timed


def tokens_seen(facts: GraphFacts) -> int:
    """Before the steps that are timed, or estimated."""
    return facts.piece if facts.context is None else min(facts.piece, facts.context // 2)


def profile(start: Start, model: Any, files: Files) -> list[Measurement]:
    """Decode steps by file, with as many tokens seen as a piece has and more."""
    steps, seen, most = start.config.profile.steps, tokens_seen(files.facts), files.facts.context
    if most is not None:
        steps = min(steps, most - seen - _MARGIN)
    threads = torch.get_num_threads()
    paths = {name: files.path(name) for name in files.for_cpu}
    seconds = decode_seconds(model, paths, seen=seen, steps=steps, threads=threads)
    method = f"{steps} decode steps after {seen} tokens, batch 1, {threads} threads, all in turns in one process"
    found = [one for name, times in seconds.items() for one in _times(name, times, method)]
    return [*found, *_ratios(seconds, method), *_sizes(files)]


def _times(name: str, seconds: list[float], method: str) -> list[Measurement]:
    prefix, n = f"adas/performance/{who(name)}", len(seconds)
    p25, p50, p75, p99 = (float(1e3 * each) for each in np.percentile(seconds, [25, 50, 75, 99]))
    middle = f"median of {method}; spread: between quartiles"
    return [
        Measurement(f"{prefix}/decode_p50", p50, "ms", middle, n, p75 - p25),
        Measurement(f"{prefix}/decode_p99", p99, "ms", f"99th percentile of {method}", n),
        Measurement(f"{prefix}/tokens_per_second", 1e3 / p50, "1/s", f"one over the median of {method}", n),
    ]


def _ratios(seconds: dict[str, list[float]], method: str) -> list[Measurement]:
    """Of medians: how many times as fast as the float32 file, and as PyTorch."""
    middle = {name: float(np.median(each)) for name, each in seconds.items()}
    told, n = f"ratio of medians of {method}", len(seconds[PLAIN])
    return [
        Measurement(f"adas/performance/{who(name)}/speedup_over_{who(base)}", middle[base] / own, "1", told, n)
        for base in (PLAIN, EAGER)
        for name, own in middle.items()
        if name != base
    ]


def _sizes(files: Files) -> list[Measurement]:
    sizes = {name: files.path(name).stat().st_size for name in files.variants}
    return [
        Measurement(f"adas/performance/{who(name)}/size", size, "By", "the file's size", 1)
        for name, size in sizes.items()
    ]
