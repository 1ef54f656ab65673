"""A run on two machines: a rank killed, the cable cut for a moment, for long, and until it fails and is resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentforge.kit.events import read_events
from agentforge.kit.rundir import RunDirectory
from tests.network.conftest import FIRST, ROOT, Cable

pytestmark = pytest.mark.slow
MASTER = f"{FIRST}:29431"
STEPS = 60  # of 20 ms and a message to all
PATIENCE_S = 240.0


class Pair:
    """The two commands that people type, each on its machine. `each`: ranks of a machine."""

    def __init__(self, cable: Cable, home: Path, each: int, **environment: str) -> None:
        self.cable, self.home, self.each = cable, home, each
        clean = {name: value for name, value in os.environ.items() if name != "GLOO_SOCKET_IFNAME"}
        self.environment = clean | {
            "AGENTFORGE_HOME": str(home), "AGENTFORGE_PIPELINE": "tests.network.pipeline", "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]), **environment,
        }  # fmt: skip
        self.run = RunDirectory(home, "r1", "team")
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]:
        settings = ["--set", "mode=wait", "--set", f"steps={STEPS}", "--run-id", "r1", "--json"]
        several = ["--nproc", str(self.each), "--nnodes", "2", "--master", MASTER]
        first = self._typed(0, "phase", "team", *several, *settings)
        until(self.run.exists, "the run is there")
        return first, self.join()

    def join(self) -> subprocess.Popen[bytes]:
        return self._typed(1, "join", str(self.run.path), "--node-rank", "1", "--master", MASTER)

    def resume(self) -> subprocess.Popen[bytes]:
        """As the failed run's last words tell it."""
        told = {"AGENTFORGE_NODES": "2", "AGENTFORGE_MASTER": MASTER}
        return self._typed(0, "resume", "r1", "--phase", "team", **told)

    def _typed(self, machine: int, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        command = self.cable.within(machine, sys.executable, "-m", "agentforge.cli", *arguments)
        with (self.home / f"machine{machine}.log").open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment | environment,
                start_new_session=True,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def logs(self) -> str:
        texts = [path.read_text() for path in sorted(self.home.glob("machine*.log"))]
        worker = self.run.worker_log_path
        return "\n".join([*texts, worker.read_text() if worker.exists() else "", *map(str, self.states)])

    @property
    def records(self) -> list[dict[str, Any]]:
        return read_events(self.run.log_path)[0] if self.run.log_path.exists() else []

    @property
    def states(self) -> list[str]:
        found = [each["state_changed"]["state"] for each in self.records if "state_changed" in each]
        return [state.removeprefix("RUN_STATE_") for state in found]

    def works(self, attempt: int) -> bool:
        now = [each for each in self.records if each["attempt"] == attempt and "progress" in each]
        return bool(now) and now[-1]["progress"]["done"] >= 5

    def text(self) -> str:
        return (self.run.output_path / "text" / "text.txt").read_text()

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for namespace in self.cable.namespaces:  # workers are in sessions of their own
            found = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False)
            for pid in found.stdout.split():
                os.kill(int(pid), signal.SIGKILL)


@pytest.fixture
def pair_of(cable: Cable, tmp_path: Path) -> Iterator[Callable[..., Pair]]:
    made: list[Pair] = []

    def make(each: int, **environment: str) -> Pair:
        home = tmp_path / "volume"
        home.mkdir()
        made.append(Pair(cable, home, each, **environment))
        return made[-1]

    yield make
    for pair in made:
        pair.end()


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited too long until {what}"
        time.sleep(0.02)


def total(ranks: int) -> str:
    """What the phase adds up, undisturbed: its output's digest is that of these bytes."""
    return str(float(sum(rank + 1 for rank in range(ranks)) * sum(range(STEPS))))


def check_succeeded(pair: Pair, first: subprocess.Popen[bytes], second: subprocess.Popen[bytes]) -> None:
    assert first.wait(PATIENCE_S) == 0, pair.logs()
    assert second.wait(60) == 0, pair.logs()
    assert pair.states[-1] == "SUCCEEDED"
    assert pair.text() == total(2 * pair.each)


def test_two_machines_make_one_result_and_the_cable_may_be_out_for_a_moment(pair_of: Callable[..., Pair]) -> None:
    """No attempt is lost by it: what was sent is sent again."""
    pair = pair_of(2)
    first, second = pair.start()
    until(lambda: pair.works(1), "it works")
    pair.cable.cut()
    stopped = len(pair.records)
    time.sleep(2)
    assert pair.states[-1] == "RUNNING"
    assert len(pair.records) <= stopped + 3, "it went on without the other machine"
    pair.cable.heal()
    check_succeeded(pair, first, second)
    assert pair.states.count("RUNNING") == 1
    assert f"agentforge join {pair.run.path} --node-rank 1" in (pair.home / "machine0.log").read_text()


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_killed_rank_of_either_machine_is_started_again_with_all(pair_of: Callable[..., Pair], rank: int) -> None:
    pair = pair_of(2)
    first, second = pair.start()
    until(lambda: pair.works(1), "it works")
    os.kill(_pid_of(pair, rank), signal.SIGKILL)
    check_succeeded(pair, first, second)
    assert pair.states.count("RUNNING") == 2
    assert "goes on from step 2" in pair.run.log_path.read_text()


def test_silent_for_too_long_a_machine_is_lost_and_comes_back(pair_of: Callable[..., Pair]) -> None:
    pair = pair_of(1, AGENTFORGE_SILENCE_S="4")
    first, second = pair.start()
    until(lambda: pair.works(1), "it works")
    pair.cable.cut()
    until(lambda: "RUNNING" in pair.states[3:], "the next attempt begins")
    assert "the machine of rank 1 has said nothing for 4 s" in pair.run.worker_log_path.read_text()
    pair.cable.heal()
    check_succeeded(pair, first, second)


def test_never_mended_the_run_fails_in_words_and_is_resumed_later(pair_of: Callable[..., Pair]) -> None:
    pair = pair_of(1, AGENTFORGE_SILENCE_S="4", AGENTFORGE_GATHER_S="45")
    first, second = pair.start()
    until(lambda: pair.works(1), "it works")
    pair.cable.cut()
    assert first.wait(PATIENCE_S) == 1, pair.logs()
    line = json.loads((pair.home / "machine0.log").read_text().splitlines()[-1])
    assert line["error"]["reason"] == "TEAM_INCOMPLETE"
    assert "ranks 1 of 2 did not come within 45 s" in line["error"]["message"]
    assert second.wait(60) in (1, 3), "it ends as the run does, or because nobody leads any more"
    pair.cable.heal()
    resumed = pair.resume()
    until(lambda: pair.states[-1] != "FAILED", "it is open again: a run that is over is not joined")
    check_succeeded(pair, resumed, pair.join())
    assert "goes on from step 2" in pair.run.log_path.read_text()


def _pid_of(pair: Pair, rank: int) -> int:
    machine = rank // pair.each
    found = subprocess.run(
        ["ip", "netns", "pids", pair.cable.namespaces[machine]], capture_output=True, text=True, check=True
    )
    for pid in found.stdout.split():
        told = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if f"RANK={rank}".encode() in told and b"agentforge.kit.worker" in command:
            return int(pid)
    raise AssertionError(f"no process of rank {rank}: {pair.logs()}")
