"""What follows from the end of an attempt: outputs are published, or something is done about a failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agentforge.kit.agents import attempt
from agentforge.kit.agents.agent import Strategy
from agentforge.kit.agents.breakers import Breakers
from agentforge.kit.agents.failure import Failure, Kind, of_error
from agentforge.kit.agents.graph import Graph
from agentforge.kit.agents.health import PipelineHealthMonitor
from agentforge.kit.agents.memory import MemoryGovernor
from agentforge.kit.agents.messages import DataFlowCoordinator, Message
from agentforge.kit.agents.published import Result, Store
from agentforge.kit.agents.recovery import ErrorRecoverySystem
from agentforge.kit.agents.standing import Standing, State
from agentforge.kit.audience import Audience
from agentforge.kit.errors import ForgeError, RunFailed
from agentforge.kit.measure import Measurement


@dataclass(frozen=True)
class Around:
    """What the agents of a graph share, and may share with other graphs."""

    store: Store
    mail: DataFlowCoordinator
    breakers: Breakers
    audience: Audience
    memory: MemoryGovernor | None
    health: PipelineHealthMonitor | None
    at_most: int
    key: str


class Aftermath:
    def __init__(self, graph: Graph, around: Around, standings: Mapping[str, Standing]) -> None:
        self._graph, self._around, self._standings = graph, around, standings
        self._recovery = ErrorRecoverySystem(graph)

    def attempt_ended(self, standing: Standing, told: attempt.Told | Failure) -> None:
        """Of one that was really begun."""
        told = self.damaged(standing) or told  # whatever came of it, it may have come of that
        if not isinstance(told, Failure):
            told = self._publish(standing, told) or told
        failed = isinstance(told, Failure)
        self._around.breakers.ended(standing.circuit, RunFailed("failed") if failed else None)
        if self._around.health:
            self._around.health.ended(failed=failed)
        if isinstance(told, Failure):
            standing.failed_attempts += 1
            self.failed(standing, told)

    def failed(self, standing: Standing, failure: Failure) -> None:
        """The one place where something is done about it."""
        strategy = self._recovery.choose(standing, failure)
        standing.note(failure, strategy)
        standing.used[strategy] += 1
        standing.state, standing.failure = State.WAITING, failure
        name = standing.agent.name
        self._around.audience.log(f"agent {name}: {failure.message}; next: {strategy}", "warning")
        match strategy:
            case Strategy.RETRY:
                standing.wait(self._recovery.backoff_s(standing))
            case Strategy.RESTART:
                standing.fresh = True
            case Strategy.FALLBACK:
                standing.fall_back()
            case Strategy.ROLLBACK:
                self._roll_back(standing, failure)
            case Strategy.ISOLATE:
                self._isolate(standing)
            case Strategy.ESCALATE:
                standing.state = State.FAILED

    def over(self, standing: Standing, result: Result) -> None:
        """Done or left out: who waits for it is told."""
        standing.result = result
        standing.state = State.ISOLATED if result.isolated else State.DONE
        for each in result.measurements:
            self._around.audience.measure(Measurement(**each))
        name = standing.agent.name
        for consumer in self._graph.consumers(name):
            for output in standing.agent.makes:
                if output in self._graph.agents[consumer].takes:
                    body = {"output": output, "sha256": result.outputs[output]}
                    self._around.mail.send(name, consumer, body)

    def undelivered(self, message: Message) -> None:
        standing = self._standings[message.receiver]
        if standing.state is State.WAITING:
            what = f"{message.body['output']} of {message.sender}"
            failure = Failure(Kind.MESSAGE, f"word of {what} did not reach it", "UNDELIVERABLE")
            self.failed(standing, failure)
        if standing.state is State.WAITING:
            self._around.mail.send_again(message)

    def damaged(self, standing: Standing) -> Failure | None:
        return attempt.damaged_inputs(self._around.store, self._graph.maker, standing)

    def _publish(self, standing: Standing, told: attempt.Told) -> Failure | None:
        """Its outputs were not altered since the agent digested them."""
        name = standing.agent.name
        altered = attempt.altered_outputs(self._around.store.directory / "work" / name, told)
        if altered is not None:
            return altered
        result = Result(
            name, self._around.key, dict(standing.received), dict(told["outputs"]), list(told["measurements"]),
            dict(told["facts"]), [*standing.history, standing.noted(None, None)],
        )  # fmt: skip
        return self._replace(standing, result)

    def _isolate(self, standing: Standing) -> None:
        agent = standing.agent
        absent: dict[str, str | None] = dict.fromkeys(agent.makes)
        result = Result(
            agent.name, self._around.key, dict(standing.received), absent, history=list(standing.history),
            isolated=True,
        )  # fmt: skip
        failure = self._replace(standing, result)
        if failure is not None:
            standing.state, standing.failure = State.FAILED, failure

    def _replace(self, standing: Standing, result: Result) -> Failure | None:
        """What was made of another output than this is made again."""
        store, before = self._around.store, standing.result
        try:
            if result.isolated:
                store.work_place(result.agent, fresh=True)
            store.publish(result)
        except (OSError, ForgeError) as error:
            return of_error(error, str(store.directory))
        standing.history = result.history
        if before is not None and before.outputs != result.outputs:
            for consumer in self._graph.consumers(result.agent):
                if self._standings[consumer].over:
                    self._again(self._standings[consumer])
        self.over(standing, result)
        return None

    def _roll_back(self, standing: Standing, failure: Failure) -> None:
        standing.fresh = True
        for output in failure.inputs:
            producer = self._standings[self._graph.maker[output]]
            if producer.state is not State.DONE or producer.result is None:
                continue  # on its way already
            if self._around.store.is_whole(producer.result):
                standing.received[output] = producer.result.outputs[output]
            else:
                self._again(producer)

    def _again(self, producer: Standing) -> None:
        name = producer.agent.name
        self._around.store.set_aside(name)
        producer.state, producer.fresh, producer.kept = State.WAITING, True, False
        for consumer in self._graph.consumers(name):
            if not self._standings[consumer].over:
                for output in producer.agent.makes:
                    self._standings[consumer].received.pop(output, None)
