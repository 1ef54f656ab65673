from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agentforge.kit.agents.agent import Agent, Policy, Strategy
from agentforge.kit.agents.graph import Graph
from agentforge.kit.errors import InvalidInput
from tests.unit.agents.parts import agent, chain, hashing, policy

ESCALATE, ISOLATE, FALLBACK = Strategy.ESCALATE, Strategy.ISOLATE, Strategy.FALLBACK


def test_order_is_by_need_and_then_as_declared() -> None:
    graph = Graph([agent("d", "BC"), agent("b", "A"), agent("c", "A"), agent("a")])
    graph.check()
    assert graph.order() == ["a", "b", "c", "d"]
    assert graph.consumers("a") == ["b", "c"]


WRONG: list[tuple[str, Callable[[], list[Agent]]]] = [
    ("CYCLE", lambda: [agent("a", "B"), agent("b", "A"), agent("c")]),
    ("CYCLE", lambda: [agent("a", "A")]),
    ("MISSING_INPUT", lambda: [agent("a", "X")]),
    ("DUPLICATE_AGENT", lambda: [agent("a"), agent("a", makes=("B",))]),
    ("DUPLICATE_OUTPUT", lambda: [agent("a"), agent("b", makes=("A",))]),
    ("DUPLICATE_OUTPUT", lambda: [agent("a", makes=("model",))]),
    ("UNKNOWN_INPUT", lambda: [agent("a", can_do_without=("X",))]),
    ("INVALID_LIMIT", lambda: [agent("a", deadline_s=0)]),
    ("INVALID_LIMIT", lambda: [agent("a", memory_bytes=0)]),
    ("TOO_MUCH_MEMORY", lambda: [agent("a", memory_bytes=1 << 31)]),
    ("INVALID_NAME", lambda: [agent("a", makes=("../x",))]),
    ("INVALID_NAME", lambda: [agent("a", makes=("RESULT.json",))]),
    ("INVALID_POLICY", lambda: [agent("a", policy=Policy(order=()))]),
    ("INVALID_POLICY", lambda: [agent("a", policy=policy(ESCALATE, Strategy.RETRY))]),
    ("INVALID_POLICY", lambda: [agent("a", policy=policy(ESCALATE, ESCALATE))]),
    ("INVALID_POLICY", lambda: [agent("a", policy=policy(FALLBACK, ESCALATE))]),
    ("INVALID_POLICY", lambda: [agent("a", fallback=hashing("A"))]),
    ("INVALID_POLICY", lambda: [agent("a", policy=policy(ISOLATE)), agent("b", "A")]),
]


@pytest.mark.parametrize(("reason", "agents"), WRONG)
def test_wrong_graphs_are_refused(reason: str, agents: Callable[[], list[Agent]]) -> None:
    with pytest.raises(InvalidInput) as told:
        Graph(agents(), ["model"]).check(1 << 30)
    assert reason in {each.reason for each in told.value.violations}


def test_all_that_is_wrong_is_told_at_once() -> None:
    wrong: Any = [agent("a", "X"), agent("b", "Y", deadline_s=-1)]
    with pytest.raises(InvalidInput) as told:
        Graph(wrong).check()
    assert [each.reason for each in told.value.violations] == ["MISSING_INPUT", "MISSING_INPUT", "INVALID_LIMIT"]


def test_a_usual_graph_is_right() -> None:
    Graph(chain(9)).check(1 << 30)
