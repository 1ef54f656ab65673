"""Kills at any instant, of an agent's process and of the whole."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from agentforge.kit.agents.agent import Outcome, Policy, Task
from agentforge.kit.agents.breakers import Breakers
from agentforge.kit.agents.graph import Graph
from agentforge.kit.agents.run import run_graph
from agentforge.kit.agents.standing import State
from agentforge.kit.audience import Quiet
from agentforge.kit.rng import Rng
from tests.unit.agents.parts import agent, chain, hashing

MANY = Policy(retries=500, backoff_s=0.001, longest_backoff_s=0.001)


def _slow(name: str) -> object:
    """Writes its output piece by piece; half of it would be seen."""

    def work(task: Task) -> Outcome:
        hashing(name)(task)
        text = (task.directory / name).read_text()
        with (task.directory / name).open("w") as file:
            for letter in text:
                file.write(letter)
                file.flush()
                time.sleep(0.0002)
        return Outcome()

    return work


def slow_chain(length: int = 5) -> Graph:
    return Graph(chain(length, **{name: {"work": _slow(name.upper()), "policy": MANY} for name in "abcdefghi"}))


@pytest.mark.parametrize("seed", range(3))
def test_children_killed_at_random_instants(tmp_path: Path, seed: int) -> None:
    right = run_graph(slow_chain(), tmp_path / "right", Quiet())
    random, over, killed = Rng(seed, "kills").python(), threading.Event(), 0
    own = psutil.Process()

    def kill() -> None:
        nonlocal killed
        while not over.is_set() and killed < 25:
            time.sleep(random.random() * 0.03)
            for each in own.children():
                with contextlib.suppress(psutil.NoSuchProcess):  # it had ended by itself
                    each.kill()
                killed += 1

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        report = run_graph(slow_chain(), tmp_path / "g", Quiet(), at_most=2, breakers=Breakers(failures=1000))
    finally:
        over.set()
        thread.join()
    assert killed > 5
    assert report.outputs["E"].read_text() == right.outputs["E"].read_text()
    assert sum(each.failed_attempts for each in report.agents.values()) > 0


@pytest.mark.parametrize("seed", range(2))
def test_resumed_after_the_whole_process_was_killed(tmp_path: Path, seed: int) -> None:
    right = run_graph(slow_chain(9), tmp_path / "right", Quiet())
    random, kept, command = Rng(seed, "kills").python(), 0, [sys.executable, "-m", __name__, str(tmp_path / "g")]
    for _ in range(4):
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(random.random() * 0.15)
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        process.stdout.close()
        psutil.wait_procs(children, timeout=10)  # they die with it
        assert not any(each.is_running() for each in children)
        done = len(list((tmp_path / "g" / "done").iterdir())) if (tmp_path / "g" / "done").exists() else 0
        assert done >= kept  # what is finished stays
        kept = done
    report = run_graph(slow_chain(9), tmp_path / "g", Quiet())
    assert sum(each.kept for each in report.agents.values()) == kept
    assert report.outputs["I"].read_text() == right.outputs["I"].read_text()
    assert report.coordination()["content"] == right.coordination()["content"]


def test_what_an_agent_started_ends_at_its_deadline(tmp_path: Path) -> None:
    def work(task: Task) -> Outcome:
        process = subprocess.Popen(["sleep", "60"])
        (tmp_path / "pid").write_text(str(process.pid))
        process.wait()
        return Outcome()

    late = agent("a", work=work, deadline_s=0.5, policy=Policy(order=(Policy().order[-1],)))
    with pytest.raises(Exception, match="deadline"):
        run_graph(Graph([late]), tmp_path / "g", Quiet())
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_sigterm_to_a_child_is_a_failure_like_others(tmp_path: Path) -> None:
    def work(task: Task) -> Outcome:
        if task.attempt == 1:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        return hashing("A")(task)

    report = run_graph(Graph([agent("a", work=work)]), tmp_path / "g", Quiet())
    assert report.agents["a"].state is State.DONE
    assert report.agents["a"].history[0]["failure"]["message"] == "its process was killed by SIGTERM"


if __name__ == "__main__":
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    run_graph(slow_chain(9), Path(sys.argv[1]), Quiet())
