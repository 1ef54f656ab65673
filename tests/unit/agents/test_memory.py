from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from agentforge.kit.agents.graph import Graph
from agentforge.kit.agents.memory import MemoryGovernor
from agentforge.kit.agents.run import run_graph
from agentforge.kit.audience import Quiet
from agentforge.kit.errors import InvalidInput
from tests.unit.agents.parts import chain, hashing, once


@pytest.fixture
def governor(tmp_path: Path) -> MemoryGovernor:
    return MemoryGovernor(tmp_path / "ledger", 100)


def test_no_more_is_granted_than_there_is(governor: MemoryGovernor) -> None:
    assert governor.ask("a", 60)
    assert not governor.ask("b", 60)
    assert governor.ask("a", 60)  # asking again asks for no more
    governor.release("a")
    assert governor.ask("b", 60)


def test_first_come_first_served(governor: MemoryGovernor) -> None:
    governor.ask("a", 60)
    assert not governor.ask("large", 60)
    assert not governor.ask("small", 10)  # it would fit
    governor.release("large")  # gave up waiting
    assert governor.ask("small", 10)


def test_others_see_the_same_ledger(governor: MemoryGovernor, tmp_path: Path) -> None:
    governor.ask("a", 60)
    assert not MemoryGovernor(tmp_path / "ledger", 100).ask("b", 60)


def test_the_dead_have_nothing(governor: MemoryGovernor) -> None:
    context = multiprocessing.get_context("fork")
    granted = context.Event()

    def hold() -> None:
        assert governor.ask("other", 100)
        granted.set()
        time.sleep(60)

    process = context.Process(target=hold)
    process.start()
    assert granted.wait(10)
    assert not governor.ask("a", 60)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert governor.ask("a", 60)


def test_what_is_more_than_the_limit_is_refused_at_once(governor: MemoryGovernor, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there are 100 for all"):
        run_graph(Graph(chain()), tmp_path / "g", Quiet(), memory=governor)


def test_graphs_share_memory_and_give_it_back(tmp_path: Path) -> None:
    """Four graphs, whose agents ask for more than half each: never two at once."""
    governor = MemoryGovernor(tmp_path / "ledger", 100 << 20)
    busy = tmp_path / "busy"

    def alone(task: object) -> None:
        busy.touch(exist_ok=False)
        time.sleep(0.02)
        busy.unlink()

    fields = {name: {"memory_bytes": 60 << 20, "work": once(hashing(name.upper()), alone)} for name in "ab"}
    found: dict[int, list[int]] = {}

    def run(place: int) -> None:
        report = run_graph(Graph(chain(2, **fields)), tmp_path / f"g{place}", Quiet(), memory=governor)
        found[place] = [each.attempts for each in report.agents.values()]

    threads = [threading.Thread(target=run, args=(place,)) for place in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == {place: [1, 1] for place in range(4)}
    assert governor.ask("all", 100 << 20)
