"""How fast one backend runs one file here: every step is timed, nothing is estimated."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np

from .generate import Engine
from .state import State
from .tegrastats import Tegrastats

UNTIMED = 3  # first steps: buffers grow, caches fill
PREFILLS = 5


def measure(engine: Engine, steps: int, power: Tegrastats) -> dict[str, Any]:
    """Prefill of one whole piece, then greedy steps of one token, with power taken during the steps."""
    graph = engine.graph
    most = graph.context if graph.context is not None else graph.piece + steps + UNTIMED
    prompt = [number % graph.vocabulary for number in range(min(graph.piece, most // 2))]
    prefills = []
    for _ in range(PREFILLS):
        state = State(graph)
        began = perf_counter()
        logits_V = engine.feed(state, [prompt])[0]
        prefills.append(perf_counter() - began)
    seconds = []
    with power:
        for _ in range(min(steps + UNTIMED, most - len(prompt))):
            began = perf_counter()
            logits_V = engine.feed(state, [[int(logits_V.argmax())]])[0]
            seconds.append(perf_counter() - began)
    timed = seconds[UNTIMED:]
    told: dict[str, Any] = {
        "prefill": {"tokens": len(prompt), "ms_p50": 1e3 * float(np.median(prefills)), "n": PREFILLS}
    }
    if timed:
        p50, p95, p99 = (float(1e3 * value) for value in np.percentile(timed, [50, 95, 99]))
        told["decode"] = {"ms_p50": p50, "ms_p95": p95, "ms_p99": p99, "n": len(timed), "from_token": len(prompt)}
        told["decode"]["tokens_per_second"] = len(timed) / sum(timed)
    return told
