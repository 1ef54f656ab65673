"""A run of a phase inside its container: service, worker, artifacts, and nothing left behind."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.images.engine import TOKEN, Container
from tests.unit.cognate.phases import OUTPUTS, tiny

pytestmark = [pytest.mark.slow, pytest.mark.docker, pytest.mark.timeout(900)]

ASK = """
import json
from agentforge.client import PhaseClient
with PhaseClient("127.0.0.1:50051", token={token!r}) as client:
    {what}
"""
STATES = """
import pathlib
for status in pathlib.Path("/proc").glob("[0-9]*/status"):
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    print(status.parent.name, lines["State"].split()[0], lines["Name"].strip())
"""
LEADER = """
import json, os, pathlib, signal, sys
beat = pathlib.Path("/data/runs/{run}/cognate/heartbeat.json")
workers = [int(file.parent.name) for file in pathlib.Path("/proc").glob("[0-9]*/cmdline")
           if b"agentforge.kit.worker" in file.read_bytes()]
if beat.exists() and len(workers) >= {processes}:
    os.kill(min(workers), signal.SIGKILL)
    print("killed")
"""


@pytest.fixture
def cognate(images: dict[str, str]) -> Iterator[Container]:
    with Container("cognate", images["cognate"]) as started:
        started.healthy_after_s()
        yield started


def ask(container: Container, what: str) -> Any:
    return json.loads(container.python(ASK.format(token=TOKEN, what=what), timeout_s=600))


def state(container: Container, run: str) -> int:
    return int(ask(container, f"print(client.get({run!r}).state)"))


def outputs(container: Container, run: str, config: dict[str, Any]) -> dict[str, str]:
    """Digests of what the run made, by name."""
    what = f"""client.run({run!r}, {config!r})
    print(json.dumps({{each.name: each.sha256 for each in client.results({run!r})}}))"""
    found: dict[str, str] = ask(container, what)
    return found


def test_a_phase_works_in_its_container(cognate: Container) -> None:
    made = outputs(cognate, "in-a-container", tiny())
    assert sorted(made) == sorted(OUTPUTS)
    done = json.loads(cognate.run("cat", "/data/runs/in-a-container/cognate/DONE.json"))
    assert done
    assert outputs(cognate, "again", tiny()) == made


def test_a_killed_worker_is_replaced_and_reaped(cognate: Container) -> None:
    """Its ranks lose their parent, so the first process of the container has to reap them."""
    config = tiny(processes=2)
    whole = outputs(cognate, "whole", config)
    ask(cognate, f"client.start('killed', {config!r}); print(1)")
    deadline = time.monotonic() + 120
    while cognate.python(LEADER.format(run="killed", processes=2)) != "killed":
        assert time.monotonic() < deadline, cognate.log
        time.sleep(0.2)
    assert outputs(cognate, "killed", config) == whole
    processes = [line.split(maxsplit=2) for line in cognate.python(STATES).splitlines()]
    assert [each for each in processes if each[1] == "Z"] == []
    assert processes[0][2] == "tini"
