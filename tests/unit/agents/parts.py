"""Agents that hash what they take: a wrong or missing input shows in the last output."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from agentforge.kit.agents.agent import Agent, Outcome, Policy, Strategy, Task

QUICK = Policy(backoff_s=0.001)


def hashing(*names: str) -> Callable[[Task], Outcome]:
    """Each output is a file that holds the hash of all inputs and its own name."""

    def work(task: Task) -> Outcome:
        for name in names:
            told = hashlib.sha256(name.encode())
            for each in sorted(task.inputs):
                told.update(each.encode() + task.inputs[each].read_bytes())
            (task.directory / name).write_text(told.hexdigest())
        return Outcome(facts={"inputs": sorted(task.inputs)})

    return work


def agent(name: str, takes: Sequence[str] = (), **fields: Any) -> Agent:
    """It makes one output, called as itself in capitals."""
    output = name.upper()
    usual = {"work": hashing(output), "makes": (output,), "deadline_s": 30.0, "policy": QUICK}
    return Agent(name=name, takes=tuple(takes), **{**usual, **fields})


def chain(length: int = 3, **fields: dict[str, Any]) -> list[Agent]:
    """a, b, c, ...: each takes what the one before it makes. `fields` by name of an agent."""
    names = "abcdefghi"[:length]
    return [
        agent(name, names[max(0, place - 1) : place].upper(), **fields.get(name, {}))
        for place, name in enumerate(names)
    ]


def policy(*order: Strategy, **fields: Any) -> Policy:
    return Policy(order=order, **{"backoff_s": 0.001, **fields})


def once(work: Callable[[Task], Outcome], fault: Callable[[Task], object]) -> Callable[[Task], Outcome]:
    """The fault strikes in the first attempt."""

    def struck(task: Task) -> Outcome:
        if task.attempt == 1:
            fault(task)
        return work(task)

    return struck


def broken(task: Task) -> Outcome:
    raise ValueError("broken")
