"""InferenceAccelerator: which engine says the same, and how much sooner."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from agentforge.data.splits import Split
from agentforge.kit.agents.agent import Outcome, Task
from agentforge.kit.digests import canonical_json
from agentforge.kit.measure import Measurement
from agentforge.models.ternary.linear import frozen
from agentforge.phase6_baking.agents import weights
from agentforge.phase6_baking.start import Start
from agentforge.train.engine import TORCH, runner, use_kernels
from agentforge.train.rollouts import rollouts

_QUESTIONS, _ROOM, _REPEATS = 8, 16, 3


def accelerate(start: Start, task: Task) -> Outcome:
    """An engine is taken where it says the same words as plain torch to every question."""
    model, quick = (weights.read(task.inputs["weights"], weights.BAKED, start) for _ in range(2))
    items = start.items(start.config.skills, Split.SELECTION, _QUESTIONS)[:_QUESTIONS]
    asked = [start.codec.prompt_ids(item.prompt) for item in items]
    engine = use_kernels(quick)
    by = runner(quick) if engine not in (None, TORCH) else None
    ways: dict[str, Callable[[], list[list[int]]]] = {TORCH: lambda: _plain(model, start, asked)}
    if by is not None:
        ways[by.name] = lambda: [_until_end(by.answer(ids, _ROOM, 0.0, _UNUSED), start.codec.eos) for ids in asked]
    said = {name: way() for name, way in ways.items()}
    same = [name for name in said if said[name] == said[TORCH]]
    (task.directory / "serving.json").write_bytes(canonical_json({"engine": same[-1], "same_words": same}))
    if len(same) < 2:
        return Outcome(facts={"engine": same[-1]})
    seconds: dict[str, list[float]] = {name: [] for name in same}
    for _ in range(_REPEATS):
        for name in same:
            began = time.perf_counter()
            ways[name]()
            seconds[name].append(time.perf_counter() - began)
    ratio = median(seconds[TORCH]) / median(seconds[same[-1]])
    method = f"{len(asked)} answers one by one, median of {_REPEATS}: time of {TORCH} over that of {same[-1]}"
    return Outcome((Measurement("baking/inference_speedup", ratio, "1", method, _REPEATS),), {"engine": same[-1]})


def plain_engine(start: Start, task: Task) -> Outcome:
    """Where comparing fails, what every model can be computed by."""
    (task.directory / "serving.json").write_bytes(canonical_json({"engine": TORCH, "same_words": [TORCH]}))
    return Outcome(facts={"engine": TORCH})


_UNUSED: Any = None  # greedy answers draw nothing


def _plain(model: Any, start: Start, asked: list[list[int]]) -> list[list[int]]:
    with frozen(model):
        return [rollouts(model, start.codec, [ids], run=None, room=_ROOM)[0].ids for ids in asked]


def _until_end(tokens: Any, eos: int) -> list[int]:
    found = []
    for token in tokens:
        found.append(token)
        if token == eos:
            break
    return found
