"""Running a graph of agents in a directory. To resume is to call it again with the same directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agentforge.kit.agents.aftermath import Around
from agentforge.kit.agents.breakers import Breakers
from agentforge.kit.agents.graph import Graph
from agentforge.kit.agents.health import PipelineHealthMonitor
from agentforge.kit.agents.manager import AgentSynchronizationManager
from agentforge.kit.agents.memory import MemoryGovernor
from agentforge.kit.agents.messages import DataFlowCoordinator
from agentforge.kit.agents.published import Store, digest
from agentforge.kit.agents.report import AgentReport, GraphFailed, GraphReport
from agentforge.kit.agents.standing import Standing, State
from agentforge.kit.audience import Audience
from agentforge.kit.errors import InvalidInput, NotFound


def run_graph(
    graph: Graph, directory: Path, audience: Audience, *, given: Mapping[str, Path] | None = None, key: str = "",
    at_most: int = 1, memory: MemoryGovernor | None = None, breakers: Breakers | None = None,
    health: PipelineHealthMonitor | None = None, mail: DataFlowCoordinator | None = None,
) -> GraphReport:  # fmt: skip
    """`key`: digest of what decides outputs beside the inputs, as the config; what another one made is made again.

    Raises GraphFailed, whose `report` says all that a report says, where an agent failed for good.
    """
    graph.check(memory.limit_bytes if memory is not None else None)
    if at_most < 1:
        raise InvalidInput(f"{at_most} agents at a time get nothing done", field="at_most", next_step="Allow 1.")
    found, mail = _digests(graph, given or {}), mail or DataFlowCoordinator()
    store = Store(directory, given or {})
    around = Around(store, mail, breakers or Breakers(), audience, memory, health, at_most, key)
    manager = AgentSynchronizationManager(graph, around, found)
    manager.take_up()
    manager.run()
    failed = manager.failed
    error = None if failed is None else _error(failed)
    report = _report(manager, around, error)
    if error is not None and failed is not None:
        error.report = report
        raise error from (failed.failure.error if failed.failure else None)
    return report


def _digests(graph: Graph, given: Mapping[str, Path]) -> dict[str, str]:
    found = {}
    for name in graph.given:
        value = digest(given[name]) if name in given else None
        if value is None:
            message = f"input {name} of the graph cannot be read" if name in given else f"input {name} is not given"
            raise NotFound(message, reason="MISSING_INPUT", field=name, next_step="Give a file or a directory.")
        found[name] = value
    return found


def _report(manager: AgentSynchronizationManager, around: Around, error: GraphFailed | None) -> GraphReport:
    standings = manager.standings
    outputs = {
        name: around.store.place(agent, name)
        for agent, each in standings.items()
        if each.state is State.DONE
        for name in each.agent.makes
    }
    agents = {name: AgentReport.of(each) for name, each in standings.items()}
    return GraphReport(agents, outputs, dict(around.mail.counts), error)


def _error(failed: Standing) -> GraphFailed:
    failure = failed.failure
    assert failure is not None
    name = failed.agent.name
    message = f"agent {name} failed in attempt {failed.attempts}: {failure.message}; tried: {failed.tried}"
    step = f"{failure.next_step} Finished agents are kept: a resumed run goes on with {name}.".lstrip()
    return GraphFailed(message, field=name, next_step=step)
