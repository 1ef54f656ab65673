"""One way in a process of its own: `python -m ...entrant WAY FOLDER THREADS`. A line on stdin is its turn.

Answers are lines of JSON: first what runs, or why nothing does, then one for each turn.
"""

from __future__ import annotations

import json
import os
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from agentforge.kit.errors import ForgeError, MissingTool
from agentforge.kit.rng import Rng
from agentforge.phase4_bitnet.experiments.shapes import PROMPT, TOKENS
from agentforge.phase4_bitnet.experiments.ways import Way, built

LOWEST_VOCABULARY = 8192  # ids that every shape has


def main(name: str, folder: str, threads: str) -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # libraries may print
    torch.set_num_threads(int(threads))
    try:
        began = time.monotonic()
        way = built(name, Path(folder))
        logits_V = first_turn(way)
    except ForgeError as error:
        if not isinstance(error, MissingTool) and error.reason != "NO_RUNNER":
            raise
        print(json.dumps({"missing": str(error)}), file=answers)
        return
    torch.save(logits_V, Path(folder, f"{name}.logits"))
    print(json.dumps({"version": way.version, "ready_s": time.monotonic() - began}), file=answers)
    for _ in sys.stdin:
        print(json.dumps(turn(way)), file=answers)


def prompt() -> list[int]:
    generator = Rng(42, "decode/prompt").torch()
    found: list[int] = torch.randint(0, LOWEST_VOCABULARY, (PROMPT,), generator=generator).tolist()
    return found


def first_turn(way: Way) -> torch.Tensor:
    """Logits of the prompt. The turn does not count: what is compiled or allocated at first stays out."""
    way.reset()
    token = way.read(prompt())
    logits_V = way.logits().clone()
    for _ in range(4):
        token = way.read([token])
    return logits_V


def turn(way: Way) -> dict[str, Any]:
    """Nanoseconds of the prompt, and of each token after it until the next is chosen."""
    ids = prompt()
    way.reset()
    times = [time.perf_counter_ns()]
    token = way.read(ids)
    times.append(time.perf_counter_ns())
    for _ in range(TOKENS):
        token = way.read([token])
        times.append(time.perf_counter_ns())
    spans = [after - before for before, after in pairwise(times)]
    return {"prompt_ns": spans[0], "token_ns": spans[1:]}


if __name__ == "__main__":
    main(*sys.argv[1:])
