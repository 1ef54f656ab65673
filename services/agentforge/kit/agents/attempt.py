"""One attempt of an agent: what the work gives, and whether it is what the agent promises."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agentforge.kit.agents.agent import Agent, Outcome, Task
from agentforge.kit.agents.failure import Failure, Kind, WrongOutputs
from agentforge.kit.agents.published import Store, digest, digests
from agentforge.kit.agents.standing import Standing
from agentforge.kit.digests import canonical_json

Told = Mapping[str, Any]
"""{"outputs": name -> digest, "measurements", "facts"}: plain JSON, from a child or from here."""


def perform(agent: Agent, task: Task, *, fallback: bool) -> dict[str, Any]:
    work = agent.fallback if fallback and agent.fallback else agent.work
    outcome: object = work(task)
    if not isinstance(outcome, Outcome):
        raise WrongOutputs(f"it returned a {type(outcome).__name__}, not an Outcome")
    if agent.check is not None:
        agent.check(task)
    measurements = [asdict(each) for each in outcome.measurements]
    facts = json.loads(canonical_json(dict(outcome.facts)))
    return {"outputs": digests(task.directory, agent.makes), "measurements": measurements, "facts": facts}


def altered_outputs(directory: Path, told: Told) -> Failure | None:
    """The agent has digested what it wrote; what is there now must be that."""
    for name, value in told["outputs"].items():
        if digest(directory / name) != value:
            return Failure(Kind.OUTPUTS, f"{name} is not what it wrote: altered or cut short since")
    return None


def damaged_inputs(store: Store, makers: Mapping[str, str], standing: Standing) -> Failure | None:
    """What it takes must be what its producers have told of."""
    present = {name: value for name, value in standing.received.items() if value is not None}
    damaged = tuple(
        name for name, value in sorted(present.items()) if digest(store.place(makers.get(name), name)) != value
    )
    if not damaged:
        return None
    message = f"{', '.join(damaged)}: not what was published: altered, cut short or gone"
    step = "" if all(name in makers for name in damaged) else "Bring the input back as it was, then resume."
    return Failure(Kind.INPUTS, message, "INPUT_DAMAGED", step, inputs=damaged)
