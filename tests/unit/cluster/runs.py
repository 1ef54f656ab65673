"""Runs that tests ask a service for, and what became of them."""

from __future__ import annotations

from typing import Any

from agentforge.kit.events import read_events
from agentforge.kit.rundir import RunDirectory
from tests.fakes.kubernetes_api import FakeCluster
from tests.unit.cluster.conftest import Service, nothing_left, until
from tests.unit.kit.workers import some_text, states, summary


def started(service: Service, phase: str = "count", run_id: str = "r1", **config: Any) -> RunDirectory:
    home = service.server.home
    home.mkdir(exist_ok=True)
    inputs = [some_text(home)] if phase == "count" else []
    service.client.start(run_id, inputs=inputs, config=config)
    return RunDirectory(home, run_id, phase)


def ends(run: RunDirectory, cluster: FakeCluster, state: str = "SUCCEEDED") -> list[str]:
    """Wait for its end, and until nothing of it is left in the cluster."""
    until(lambda: summary(run).final, f"{run} ends: {states(run)}, {messages(run)}")
    told = run.worker_log_path.read_text() if run.worker_log_path.exists() else ""
    assert states(run)[-1] == state, (states(run), summary(run).error, told)
    until(lambda: nothing_left(cluster), "the cluster is clean", 20)
    assert max(cluster.controllers.most_jobs_at_work.values(), default=0) <= 1
    return states(run)


def messages(run: RunDirectory) -> list[str]:
    return [record["log"]["message"] for record in read_events(run.log_path)[0] if "log" in record]


def digest(run: RunDirectory) -> str:
    done = run.done()
    assert done is not None
    return done.outputs[0].sha256


def counts(run: RunDirectory) -> None:
    until(lambda: summary(run).progress, "it works")


def the_pod(cluster: FakeCluster) -> str:
    (pod,) = [pod for pod in cluster.names("pods") if cluster.controllers.kubelet.works(pod)]
    return pod
