"""How a graph ended, as plain data. What depends on the clock or on chance stands apart, under "times"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentforge.kit.agents.published import Result
from agentforge.kit.agents.standing import Standing, State
from agentforge.kit.errors import RunFailed
from agentforge.kit.measure import Measurement


@dataclass(frozen=True)
class AgentReport:
    name: str
    state: State  # done, isolated, failed or skipped
    attempts: int
    failed_attempts: int
    saved_by: str | None  # the strategy after which it was done
    history: list[dict[str, Any]]
    seconds: list[float]  # of each attempt in this process
    kept: bool  # was finished before this process began
    result: Result | None

    @classmethod
    def of(cls, standing: Standing) -> AgentReport:
        return cls(
            standing.agent.name, standing.state, standing.attempts, standing.failed_attempts, standing.saved_by,
            standing.history, standing.seconds, standing.kept, standing.result if standing.over else None,
        )  # fmt: skip


@dataclass(frozen=True)
class GraphReport:
    agents: dict[str, AgentReport]  # in the order of the graph
    outputs: dict[str, Path]  # of the agents that are done
    messages: Mapping[str, int]
    error: GraphFailed | None = None

    @property
    def facts(self) -> dict[str, dict[str, Any]]:
        return {name: each.result.facts for name, each in self.agents.items() if each.result}

    def coordination(self) -> dict[str, Any]:
        """agent_coordination_log.json: order, states and digests; "times" differs from run to run."""
        agents = {
            name: {"state": str(each.state), "inputs": each.result.inputs if each.result else {},
                   "outputs": each.result.outputs if each.result else {}, "facts": self.facts.get(name, {})}
            for name, each in self.agents.items()
        }  # fmt: skip
        times = {name: {"seconds": each.seconds, "kept": each.kept} for name, each in self.agents.items()}
        content = {"state": "failed" if self.error else "succeeded", "order": list(self.agents), "agents": agents}
        return {"content": content, "times": {"agents": times, "messages": dict(self.messages)}}

    def recovery(self) -> dict[str, Any]:
        """error_recovery_log.json: each failure, what was tried, and what it came to. It has no times."""
        agents = {
            name: {"attempts": each.attempts, "saved_by": each.saved_by, "state": str(each.state),
                   "history": each.history}
            for name, each in self.agents.items()
            if any(entry["failure"] for entry in each.history)
        }  # fmt: skip
        return {"content": {"agents": agents, "error": self.error.message if self.error else None}}

    def measurements(self, prefix: str) -> list[Measurement]:
        """`prefix`: as in "baking". Of this graph alone; a rate over many is evidence, not a run's."""
        done = {name: float(each.state is State.DONE) for name, each in self.agents.items()}
        method = "1 where the agent's outputs are published, 0 where it failed, was isolated or not begun"
        found = [
            Measurement(f"{prefix}/agent_completion/{name}", value, "1", method, 1) for name, value in done.items()
        ]
        share, method = 100 * sum(done.values()) / len(done), "share of this run's agents that are done"
        return [*found, Measurement(f"{prefix}/reliability_percent", share, "%", method, len(done))]


class GraphFailed(RunFailed):
    """The graph could not be saved. All that is finished is kept; a resume takes it up."""

    default_reason = "AGENT_FAILED"

    def __init__(self, message: str, *, field: str, next_step: str) -> None:
        super().__init__(message, field=field, next_step=next_step)
        self.report: GraphReport
