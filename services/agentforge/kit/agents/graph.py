"""Which agent waits for which; all that is wrong with a graph is told before anything starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agentforge.kit.agents.agent import Agent, Strategy
from agentforge.kit.agents.published import RESULT
from agentforge.kit.errors import InvalidInput, Violation
from agentforge.kit.paths import check_name

_LAST = (Strategy.ISOLATE, Strategy.ESCALATE)


class Graph:
    """`given`: names of inputs that come from outside."""

    def __init__(self, agents: Sequence[Agent], given: Sequence[str] = ()) -> None:
        self.agents = {agent.name: agent for agent in agents}
        self.given = tuple(given)
        self.maker = {output: agent.name for agent in agents for output in agent.makes}
        self._all = tuple(agents)

    def check(self, memory_bytes: int | None = None) -> None:
        """`memory_bytes`: what the governor has in all."""
        found = [*self._names(), *(each for agent in self._all for each in self._of_agent(agent, memory_bytes))]
        found = found or self._cycle()
        if found:
            raise InvalidInput.of(found)

    def order(self) -> list[str]:
        """Producers first; else as declared. Agents in a cycle are left out."""
        ordered: list[str] = []
        while ready := next((name for name in self.agents if self._can_follow(name, ordered)), None):
            ordered.append(ready)
        return ordered

    def producers(self, name: str) -> set[str]:
        return {self.maker[each] for each in self.agents[name].takes if each in self.maker}

    def consumers(self, name: str) -> list[str]:
        """In the order of declaration."""
        return [other for other in self.agents if name in self.producers(other)]

    def _can_follow(self, name: str, ordered: Sequence[str]) -> bool:
        return name not in ordered and self.producers(name) <= set(ordered)

    def _names(self) -> Iterator[Violation]:
        makers: dict[str, str] = dict.fromkeys(self.given, "what is given")
        for place, agent in enumerate(self._all):
            if agent.name in {other.name for other in self._all[:place]}:
                yield Violation("agents", f"two agents are called {agent.name}", "DUPLICATE_AGENT")
            for output in agent.makes:
                if output in makers:
                    message = f"{output} is made by {makers[output]} and by {agent.name}"
                    yield Violation(agent.name, message, "DUPLICATE_OUTPUT")
                makers[output] = agent.name

    def _of_agent(self, agent: Agent, memory_bytes: int | None) -> Iterator[Violation]:
        for name in (agent.name, *agent.makes):
            yield from _bad_name(agent, name)
        if RESULT in agent.makes:
            yield Violation(agent.name, f"{RESULT} is written by the graph", "INVALID_NAME", "Call it otherwise.")
        for wanted in dict.fromkeys(agent.takes):
            if wanted not in self.maker and wanted not in self.given:
                message = f"nobody makes {wanted}, which {agent.name} takes"
                yield Violation(agent.name, message, "MISSING_INPUT", f"Add its maker, or give {wanted}.")
        if strangers := set(agent.can_do_without) - set(agent.takes):
            message = f"{agent.name} does not take {', '.join(sorted(strangers))}, which it can do without"
            yield Violation(agent.name, message, "UNKNOWN_INPUT")
        if agent.deadline_s <= 0 or agent.memory_bytes <= 0:
            yield Violation(agent.name, f"{agent.name} needs a deadline and memory above 0", "INVALID_LIMIT")
        if memory_bytes is not None and agent.memory_bytes > memory_bytes:
            message = f"{agent.name} asks for {agent.memory_bytes:,} bytes; there are {memory_bytes:,} for all"
            yield Violation(agent.name, message, "TOO_MUCH_MEMORY", "Raise the limit or lower its memory_bytes.")
        yield from self._of_policy(agent)

    def _of_policy(self, agent: Agent) -> Iterator[Violation]:
        order = agent.policy.order
        if not order or order[-1] not in _LAST or len(set(order)) < len(order):
            message = f"{agent.name}'s policy is {', '.join(order) or 'empty'}: each once, isolate or escalate last"
            yield Violation(agent.name, message, "INVALID_POLICY")
        if (Strategy.FALLBACK in order) != (agent.fallback is not None):
            message = f"{agent.name} needs both or neither: a fallback, and the strategy in its policy"
            yield Violation(agent.name, message, "INVALID_POLICY")
        if Strategy.ISOLATE in order:
            for other in self.agents.values():
                if needed := (set(agent.makes) & set(other.takes)) - set(other.can_do_without):
                    names = ", ".join(sorted(needed))
                    message = f"{agent.name} may be isolated, but {other.name} needs its {names}"
                    yield Violation(agent.name, message, "INVALID_POLICY")

    def _cycle(self) -> list[Violation]:
        stuck = self.agents.keys() - set(self.order())
        circle = [name for name in self.agents if name in stuck]
        if not circle:
            return []
        message = f"agents wait for each other: {', '.join(circle)}"
        return [Violation(circle[0], message, "CYCLE", "Take one of the inputs away.")]


def _bad_name(agent: Agent, name: str) -> Iterator[Violation]:
    try:
        check_name(name, "agent or output")
    except InvalidInput as error:
        yield from error.at(agent.name)
