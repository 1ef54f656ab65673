"""Runs what is ready, in the graph's order, at most so many at a time and within memory, until all is over."""

from __future__ import annotations

import select
import time
from collections.abc import Mapping

from agentforge.kit.agents import attempt, child
from agentforge.kit.agents.aftermath import Aftermath, Around
from agentforge.kit.agents.agent import Task
from agentforge.kit.agents.child import Child
from agentforge.kit.agents.failure import Failure, Kind, of_error
from agentforge.kit.agents.graph import Graph
from agentforge.kit.agents.memory import token
from agentforge.kit.agents.published import Result
from agentforge.kit.agents.standing import Standing, State

_LOOK_S = 0.1  # at most between two looks at a request to stop
_ASK_S = 0.02  # between two questions for memory that others hold


class AgentSynchronizationManager:
    """One thread: attempts in processes run beside each other, those inline alone. `given`: digests by name."""

    def __init__(self, graph: Graph, around: Around, given: Mapping[str, str]) -> None:
        self.standings = {name: Standing(graph.agents[name]) for name in graph.order()}
        self._graph, self._around, self._given = graph, around, given
        self._after = Aftermath(graph, around, self.standings)
        self._children: dict[str, tuple[Child, float]] = {}  # and when it began
        self._tokens = {name: token() for name in self.standings}
        self._asking = set[str]()  # for memory, or holding some
        for standing in self.standings.values():
            standing.received |= {name: given[name] for name in standing.agent.takes if name in given}

    @property
    def failed(self) -> Standing | None:
        return next((each for each in self.standings.values() if each.state is State.FAILED), None)

    def take_up(self) -> None:
        """What an earlier run of the graph has finished is taken, if it was made of the same."""
        store = self._around.store
        for name, standing in self.standings.items():
            found = store.recorded(name)
            if found is None or not self._fits(standing, found):
                store.set_aside(name)
                continue
            standing.result = found  # those that took it may stay, if it is the same once more
            if store.is_whole(found):
                standing.take_up(found)
                self._after.over(standing, found)
            else:
                store.set_aside(name)

    def run(self) -> None:
        """Until all is over or one has failed. RunStopped passes; what is finished by then is published."""
        try:
            while self._goes_on():
                self._around.audience.check_stop()
                self._hear()
                if not self._start_ready():
                    self._wait()
                if self._around.health:
                    self._around.health.sample()
        finally:
            self._stop()
        for standing in self.standings.values():
            if standing.state is State.WAITING:
                standing.state = State.SKIPPED

    def _goes_on(self) -> bool:
        waiting = any(each.state is State.WAITING for each in self.standings.values())
        return bool(self._children) or (waiting and self.failed is None)

    def _hear(self) -> None:
        for message in self._around.mail.pump():
            if self.failed is None:
                self._after.undelivered(message)
        for name, standing in self.standings.items():
            for message in self._around.mail.receive(name):
                standing.received[message.body["output"]] = message.body["sha256"]

    def _start_ready(self) -> bool:
        """Whether an attempt is over already, so that there is more to see at once. The order is strict: who does
        not get memory is not overtaken."""
        if self.failed is not None:
            return False
        for standing in [each for each in self.standings.values() if self._is_ready(each)]:
            inline = standing.agent.where == "inline"
            if len(self._children) >= (1 if inline else self._around.at_most) or not self._gets_memory(standing):
                return False
            if (failure := self._hindrance(standing)) is not None:
                self._give_memory(standing)
                self._after.failed(standing, failure)
                return True
            self._inline(standing) if inline else self._fork(standing)
            if standing.state is not State.RUNNING:
                return True
        return False

    def _is_ready(self, standing: Standing) -> bool:
        made = all(self.standings[each].over for each in self._graph.producers(standing.agent.name))
        due = standing.not_before <= time.monotonic()
        return standing.state is State.WAITING and made and standing.has_inputs and due

    def _hindrance(self, standing: Standing) -> Failure | None:
        if (damaged := self._after.damaged(standing)) is not None:
            return damaged
        if self._around.breakers.allows(standing.circuit):
            return None
        message = f"it failed so often that it is not tried for a while: circuit {standing.circuit} is open"
        return Failure(Kind.CIRCUIT, message, "CIRCUIT_OPEN", "Mend what it fails by, then resume.")

    # An attempt

    def _task(self, standing: Standing) -> Task:
        standing.state, standing.attempts = State.RUNNING, standing.attempts + 1
        name, store = standing.agent.name, self._around.store
        present = [name for name, digest in standing.received.items() if digest is not None]
        inputs = {each: store.place(self._graph.maker.get(each), each) for each in sorted(present)}
        return Task(name, standing.attempts, inputs, store.work_place(name, fresh=standing.fresh))

    def _inline(self, standing: Standing) -> None:
        agent, began = standing.agent, time.monotonic()
        told: attempt.Told | Failure
        try:
            told = attempt.perform(agent, self._task(standing), fallback=standing.falls_back)
        except Exception as error:
            told = of_error(error, str(self._around.store.directory))
        late_s = time.monotonic() - began - agent.deadline_s
        if late_s > 0:
            self._around.audience.log(f"agent {agent.name} ended {late_s:.1f} s after its deadline", "warning")
        self._ended(standing, began, told)

    def _fork(self, standing: Standing) -> None:
        agent, began, falls_back = standing.agent, time.monotonic(), standing.falls_back
        try:
            task = self._task(standing)
            begun = child.start(
                lambda: attempt.perform(agent, task, fallback=falls_back), self._around.store.directory,
                deadline_s=agent.deadline_s, memory_bytes=agent.memory_bytes,
            )  # fmt: skip
        except Exception as error:  # no directory or no process to be had
            self._ended(standing, began, of_error(error, str(self._around.store.directory)))
            return
        self._children[agent.name] = begun, began

    def _ended(self, standing: Standing, began: float, told: attempt.Told | Failure) -> None:
        standing.seconds.append(time.monotonic() - began)
        self._give_memory(standing)
        self._after.attempt_ended(standing, told)

    # Memory and waiting

    def _gets_memory(self, standing: Standing) -> bool:
        name, memory = standing.agent.name, self._around.memory
        self._asking.add(name)
        return memory is None or memory.ask(self._tokens[name], standing.agent.memory_bytes)

    def _give_memory(self, standing: Standing) -> None:
        name = standing.agent.name
        if name in self._asking and self._around.memory is not None:
            self._around.memory.release(self._tokens[name])
        self._asking.discard(name)

    def _wait(self) -> None:
        """For the end of a child, or for a time at which there is something to do."""
        poll = select.poll()
        for each, _ in self._children.values():
            poll.register(each.pidfd, select.POLLIN)
        ended = {number for number, _ in poll.poll(max(0.0, self._pause_s()) * 1000)}
        for name, (each, began) in list(self._children.items()):
            if each.pidfd in ended:
                del self._children[name]
                self._ended(self.standings[name], began, each.result())
            else:
                each.kill_if_late()

    def _pause_s(self) -> float:
        now, standings = time.monotonic(), self.standings.values()
        wants_memory = bool(self._asking - self._children.keys())
        until = [now + (_ASK_S if wants_memory else _LOOK_S)]
        until += [each.ends for each, _ in self._children.values() if not each.late]
        until += [each.not_before for each in standings if each.state is State.WAITING and each.not_before > now]
        due = self._around.mail.due
        return min(until if due is None else [*until, due]) - now

    def _stop(self) -> None:
        """Nobody works on behind our back, or waits for memory that we hold."""
        for each, _ in self._children.values():
            each.kill()
        for each, _ in self._children.values():
            each.result()
        self._children.clear()
        for name in list(self._asking):
            self._give_memory(self.standings[name])

    def _fits(self, standing: Standing, found: Result) -> bool:
        """By what it was made of, which may itself be about to be made once more."""
        wanted: dict[str, str | None] = {}
        for name in standing.agent.takes:
            maker = self._graph.maker.get(name)
            if maker is None:
                wanted[name] = self._given[name]
            elif (made := self.standings[maker].result) is not None:
                wanted[name] = made.outputs.get(name)
        same = found.key == self._around.key and found.inputs == wanted
        return same and found.outputs.keys() == set(standing.agent.makes)
