"""The whole house in containers: the tiny run end to end, and the same bytes where containers are killed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.compose import runs
from tests.compose.stack import PHASES, Stack, build_postgres, docker, missing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(4 * 3600)]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    lacks = missing()
    if lacks:
        assert not os.environ.get("AGENTFORGE_COMPOSE_MUST_RUN"), lacks
        pytest.skip(lacks)
    build_postgres()
    stack = Stack()
    try:
        print(f"ten containers healthy after {stack.up():.0f} s")
        yield stack
    finally:
        stack.down()


@pytest.fixture(scope="module")
def calm(stack: Stack) -> runs.Run:
    """A run that nobody disturbs."""
    begun = time.monotonic()
    runs.start(stack, "calm")
    run = runs.finish(stack, "calm")
    print(f"the run took {time.monotonic() - begun:.0f} s")
    return run


def test_nothing_is_open_that_need_not_be(stack: Stack) -> None:
    with httpx.Client(base_url=stack.client.base_url) as stranger:
        assert stranger.get("/readyz").json()["ready"] is True
        assert stranger.get("/v1/runs").status_code == 401
    for service in ("gateway", "postgres", *PHASES):
        told = stack.inspect(service)
        open_ports = {port: to for port, to in told["NetworkSettings"]["Ports"].items() if to}
        if service == "gateway":
            assert {where["HostIp"] for to in open_ports.values() for where in to} == {"127.0.0.1"}
            assert list(open_ports) == ["8080/tcp"]
        else:
            assert open_ports == {}
        host = told["HostConfig"]
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert "no-new-privileges:true" in host["SecurityOpt"]
        assert host["Memory"] > 0
        assert host["NanoCpus"] > 0
        assert host["PidsLimit"] > 0


def test_a_phase_has_no_way_out(stack: Stack) -> None:
    """Where it leads to is the engine's: a network marked internal has no route to the outside."""
    for service in PHASES:
        networks = stack.inspect(service)["NetworkSettings"]["Networks"]
        assert [json.loads(docker("network", "inspect", name))[0]["Internal"] for name in networks] == [True]
    connect = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)"
    assert stack.execute("cognate", "python", "-c", connect, "gateway", "8080").returncode == 0
    database = stack.execute("cognate", "python", "-c", connect, "postgres", "5432")
    assert "gaierror" in database.stderr, "a phase knows the database"
    written = stack.execute("cognate", "touch", "/opt/x")
    assert "Read-only file system" in written.stderr
    assert stack.execute("cognate", "id", "-u").stdout == "10001\n"


def test_the_tiny_run(calm: runs.Run) -> None:
    assert [phase["phase"] for phase in calm["phases"]] == list(PHASES)
    assert {phase["state"] for phase in calm["phases"]} == {"RUN_STATE_SUCCEEDED"}
    assert {phase["attempt"] for phase in calm["phases"]} == {1}
    assert all(runs.digests(calm)[phase] for phase in PHASES)


def test_killed_containers(stack: Stack, calm: runs.Run) -> None:
    """The gateway, whom the restart policy brings back; then a phase with its worker, which we start again."""
    runs.start(stack, "stormy")
    runs.until(stack, "stormy", runs.mid_phase("cognate", 0.3))
    stack.crash("gateway")
    runs.until(stack, "stormy", runs.mid_phase("training", 0.3))
    stack.kill("training")
    time.sleep(3)
    run = runs.get(stack, "stormy")
    assert run is not None
    assert run["state"] == "RUN_STATE_RUNNING", runs.told(run)  # the gateway waits for the service
    stack.start("training")
    done = runs.finish(stack, "stormy")
    assert runs.phase(done, "training")["attempt"] == 2
    assert runs.phase(done, "cognate")["attempt"] == 1, "the gateway's death is nothing to a worker"
    assert runs.digests(done) == runs.digests(calm)
