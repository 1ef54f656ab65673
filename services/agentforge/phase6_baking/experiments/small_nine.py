"""The phase's nine agents, who takes what from whom, with work so small that thousands of runs can be measured.

Each output holds the hash of all that it was made of, so a wrong or a missing input shows in the last one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from agentforge.kit.agents.agent import Agent, Outcome, Policy, Strategy, Task, Work
from agentforge.kit.agents.graph import Graph

TAKES: dict[str, tuple[str, ...]] = {
    "baking_coordinator": (),
    "hardware_adapter": (),
    "model_optimizer": ("plan.json",),
    "quality_validator": ("weights",),
    "graph_optimizer": ("weights",),
    "inference_accelerator": ("weights",),
    "memory_optimizer": ("weights",),
    "performance_profiler": ("weights",),
    "deployment_preparer": (
        "plan.json", "hardware.json", "weights", "quality.json", "graph.json", "serving.json", "memory.json",
        "profile.json",
    ),
}  # fmt: skip
MAKES = dict(
    zip(
        TAKES,
        ("plan.json", "hardware.json", "weights", "quality.json", "graph.json", "serving.json", "memory.json",
         "profile.json", "agent"),
        strict=True,
    )
)  # fmt: skip
NAMES = tuple(TAKES)
LAST = "deployment_preparer"
_ADVICE = (
    "hardware_adapter",
    "graph_optimizer",
    "inference_accelerator",
    "memory_optimizer",
    "performance_profiler",
)
_FALLBACKS = ("baking_coordinator", "inference_accelerator", LAST)  # training and the judge have no second way
_WORKING = (Strategy.ROLLBACK, Strategy.RETRY, Strategy.RESTART)
_BLOCK = 1 << 16  # bytes of the weights
DEADLINE_S = 0.75
MEMORY_BYTES = 32 << 20

Wrap = Callable[[str, Work, bool], Work]
"""Of an agent's name, its work, and whether that is the fallback."""


def _policy(name: str) -> Policy:
    fallback = (Strategy.FALLBACK,) if name in _FALLBACKS else ()
    last = Strategy.ISOLATE if name in _ADVICE else Strategy.ESCALATE
    return Policy((*_WORKING, *fallback, last), retries=2, restarts=1, backoff_s=0.001)


POLICIES = {name: _policy(name) for name in NAMES}


def graph(seed: int, wrap: Wrap = lambda name, work, fallback: work) -> Graph:
    return Graph([_agent(name, place, seed, wrap) for place, name in enumerate(NAMES)])


def expected(seed: int, absent: set[str]) -> dict[str, bytes]:
    """Of every output that there is when these agents are left out."""
    found: dict[str, bytes] = {}
    for name in NAMES:
        if name not in absent:
            found[MAKES[name]] = made(name, seed, {each: found[each] for each in TAKES[name] if each in found})
    return found


def content(place: Path) -> bytes:
    return (place / "data").read_bytes() if place.is_dir() else place.read_bytes()


def made(name: str, seed: int, inputs: Mapping[str, bytes]) -> bytes:
    """A line of JSON, for weights and the agent 64 KiB that depend on it. The first 64 characters vouch for all."""
    parts = {each: hashlib.sha256(inputs[each]).hexdigest() for each in sorted(inputs)}
    told = json.dumps({"agent": name, "seed": seed, "made_of": parts}).encode() + b"\n"
    if name in ("model_optimizer", LAST):
        told += hashlib.shake_256(told).digest(_BLOCK)
    return hashlib.sha256(told).hexdigest().encode() + told


def _agent(name: str, place: int, seed: int, wrap: Wrap) -> Agent:
    fallback = wrap(name, partial(_second, seed), True) if name in _FALLBACKS else None
    return Agent(
        name, wrap(name, partial(_first, seed), False), TAKES[name], (MAKES[name],), DEADLINE_S, POLICIES[name],
        memory_bytes=MEMORY_BYTES + place,  # by which strikes.Governor knows it
        fallback=fallback, check=_check,
        can_do_without=tuple(each for each in TAKES[name] if each in {MAKES[one] for one in _ADVICE}),
    )  # fmt: skip


def target(task: Task) -> Path:
    """Weights and the agent are directories, as in the phase."""
    place = task.directory / MAKES[task.agent]
    if task.agent not in ("model_optimizer", LAST):
        return place
    place.mkdir(exist_ok=True)
    return place / "data"


def _first(seed: int, task: Task) -> Outcome:
    """It trusts what it finds half done, as work with checkpoints does."""
    place = target(task)
    if not place.exists():
        inputs = {name: content(each) for name, each in task.inputs.items()}
        place.write_bytes(made(task.agent, seed, inputs))
    return Outcome(facts={"took": sorted(task.inputs)})


def _second(seed: int, task: Task) -> Outcome:
    """The same by another way: piece by piece, and from the beginning."""
    inputs = {name: content(each) for name, each in task.inputs.items()}
    data = made(task.agent, seed, inputs)
    with target(task).open("wb") as file:
        for start in range(0, len(data), 1000):
            file.write(data[start : start + 1000])
    return Outcome(facts={"took": sorted(task.inputs)})


def _check(task: Task) -> None:
    data = target(task).read_bytes()
    if hashlib.sha256(data[64:]).hexdigest().encode() != data[:64]:
        raise ValueError(f"{MAKES[task.agent]} does not vouch for itself")
