from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from agentforge.kit.agents.agent import Strategy, Task
from agentforge.kit.agents.breakers import Breakers
from agentforge.kit.agents.graph import Graph
from agentforge.kit.agents.health import PipelineHealthMonitor
from agentforge.kit.agents.report import GraphFailed
from agentforge.kit.agents.run import run_graph
from agentforge.kit.audience import Quiet
from tests.unit.agents.parts import broken, chain, hashing, policy

FALLBACK, ESCALATE = Strategy.FALLBACK, Strategy.ESCALATE


def test_a_circuit_opens_half_opens_and_closes() -> None:
    breakers = Breakers(failures=2, open_s=0.05)
    for _ in range(2):
        assert breakers.allows("a")
        breakers.ended("a", ValueError())
    assert not breakers.allows("a")
    assert breakers.allows("b")
    assert breakers.states() == {"a": "opened", "b": "closed"}
    time.sleep(0.06)
    assert breakers.allows("a")
    assert breakers.states()["a"] == "half-opened"
    breakers.ended("a", ValueError())
    assert not breakers.allows("a")
    time.sleep(0.06)
    assert breakers.allows("a")
    breakers.ended("a", None)
    assert breakers.states()["a"] == "closed"


def test_a_success_between_failures_keeps_it_closed() -> None:
    breakers = Breakers(failures=2)
    for error in (ValueError(), None, ValueError()):
        assert breakers.allows("a")
        breakers.ended("a", error)
    assert breakers.allows("a")


def test_other_graphs_do_not_try_what_failed_too_often(tmp_path: Path) -> None:
    breakers, calls = Breakers(failures=2, open_s=60), tmp_path / "calls"

    def work(task: Task) -> Any:
        with calls.open("a") as file:
            file.write("x")
        broken(task)

    escalating = Graph(chain(1, a={"work": work, "policy": policy(ESCALATE)}))
    for place in range(2):
        with pytest.raises(GraphFailed, match="broken"):
            run_graph(escalating, tmp_path / str(place), Quiet(), breakers=breakers)
    with pytest.raises(GraphFailed, match="circuit a is open"):
        run_graph(escalating, tmp_path / "2", Quiet(), breakers=breakers)
    assert calls.read_text() == "xx"
    saved = Graph(chain(1, a={"work": work, "fallback": hashing("A"), "policy": policy(FALLBACK, ESCALATE)}))
    report = run_graph(saved, tmp_path / "3", Quiet(), breakers=breakers)
    assert (report.agents["a"].saved_by, report.agents["a"].attempts) == ("fallback", 1)


def test_health_tells_only_what_was_measured(tmp_path: Path) -> None:
    breakers, health = Breakers(), PipelineHealthMonitor("x/health", every_s=0.0)
    names = {each.name for each in health.measurements(breakers)}
    assert names == {"x/health/cpu_usage"}
    failing = {"work": broken, "fallback": hashing("B"), "policy": policy(FALLBACK, ESCALATE)}
    run_graph(Graph(chain(b=failing)), tmp_path / "g", Quiet(), breakers=breakers, health=health)
    found = {each.name.removeprefix("x/health/"): each for each in health.measurements(breakers)}
    assert (found["error_rate"].value, found["error_rate"].n) == (0.25, 4)
    assert found["circuit_breaker_status/b/fallback"].value == 0
    assert found["memory_peak_mb"].value >= found["memory_usage_mb"].value > 1
    assert found["cpu_usage"].value > 0
