"""Whole runs through a real service and real workers: to the end, stopped, struck, and over restarts."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agentforge.kit.diagnosis import ATTEMPT_LINE
from agentforge.kit.rundir import RunDirectory
from tests.fakes.kubernetes_api import FakeCluster
from tests.unit.cluster.conftest import Service, until
from tests.unit.cluster.runs import counts, digest, ends, messages, started, the_pod
from tests.unit.kit.workers import some_text, states, summary

Serve = Callable[..., Service]


def test_a_run_is_one_job_and_nothing_is_left_of_it(serve: Serve, cluster: FakeCluster) -> None:
    run = started(serve(), n=5)
    assert ends(run, cluster) == ["QUEUED", "RUNNING", "SUCCEEDED"]
    assert cluster.calls.count("create jobs") == 2  # the first is the check at the start, which makes none
    assert not run.is_locked()


def test_a_killed_process_is_followed_by_another_job_and_the_digest_stays(
    serve: Serve, cluster: FakeCluster
) -> None:
    service = serve()
    calm = started(service, run_id="calm", n=60, every=5)
    ends(calm, cluster)
    run = started(service, n=60, every=5, step_s=0.03)
    counts(run)
    os.kill(cluster.controllers.kubelet.pid(the_pod(cluster)), signal.SIGKILL)
    assert ends(run, cluster) == ["QUEUED", "RUNNING", "QUEUED", "RUNNING", "SUCCEEDED"]
    assert digest(run) == digest(calm)


def test_cancelled_it_stops_by_itself(serve: Serve, cluster: FakeCluster) -> None:
    service = serve()
    run = started(service, n=10_000, step_s=0.02)
    counts(run)
    service.client.cancel("r1", "enough")
    assert ends(run, cluster, "CANCELLED") == ["QUEUED", "RUNNING", "CANCELLING", "CANCELLED"]


def test_cancelled_while_it_waits_it_never_begins(serve: Serve, cluster: FakeCluster) -> None:
    cluster.controllers.kubelet.scenario = "unschedulable"
    service = serve()
    run = started(service, n=5)
    until(lambda: cluster.names("pods"), "there is a pod")
    service.client.cancel("r1", "enough")
    assert ends(run, cluster, "CANCELLED") == ["QUEUED", "CANCELLED"]
    assert summary(run).reason == "enough"


def test_a_service_that_comes_back_adopts_the_job_that_runs(serve: Serve, cluster: FakeCluster) -> None:
    service = serve()
    run = started(service, n=80, every=5, step_s=0.03)
    counts(run)
    (name,) = cluster.names("jobs")
    service.stop()
    assert cluster.names("jobs") == [name]
    serve()
    assert ends(run, cluster) == ["QUEUED", "RUNNING", "SUCCEEDED"]
    assert cluster.calls.count("create jobs") == 3  # two checks, one Job


def test_a_service_that_comes_back_adopts_the_job_that_waits(serve: Serve, cluster: FakeCluster) -> None:
    cluster.controllers.kubelet.start_delay_s = 2.0
    service = serve()
    run = started(service, n=5)
    until(lambda: cluster.names("pods"), "there is a pod")
    service.stop()
    serve()
    assert ends(run, cluster) == ["QUEUED", "RUNNING", "SUCCEEDED"]
    assert cluster.calls.count("create jobs") == 3


def test_a_service_that_comes_back_clears_away_a_job_that_ended_meanwhile(
    serve: Serve, cluster: FakeCluster
) -> None:
    service = serve()
    run = started(service, n=20, step_s=0.03)
    counts(run)
    service.stop()
    until(lambda: summary(run).final, "it ends alone")
    assert cluster.names("jobs")
    serve()
    assert ends(run, cluster) == ["QUEUED", "RUNNING", "SUCCEEDED"]


def test_a_death_that_nobody_saw_counts_once(serve: Serve, cluster: FakeCluster) -> None:
    service = serve()
    run = started(service, n=60, every=5, step_s=0.03)
    counts(run)
    service.stop()
    os.kill(cluster.controllers.kubelet.pid(the_pod(cluster)), signal.SIGKILL)
    until(lambda: not run.is_locked(), "it is dead")
    serve()
    assert ends(run, cluster) == ["QUEUED", "RUNNING", "QUEUED", "RUNNING", "SUCCEEDED"]
    assert "SIGKILL" in run.log_path.read_text()


def test_two_services_of_one_run_make_one_job(serve: Serve, cluster: FakeCluster, home: Path) -> None:
    one, other = serve(), serve()
    run = started(one, n=30, step_s=0.02)
    other.client.start("r1", inputs=[some_text(home)], config={"n": 30, "step_s": 0.02})
    assert ends(run, cluster) == ["QUEUED", "RUNNING", "SUCCEEDED"]


def test_a_job_deleted_by_hand_is_made_again(serve: Serve, cluster: FakeCluster) -> None:
    run = started(serve(), n=60, every=5, step_s=0.03)
    counts(run)
    (name,) = cluster.names("jobs")
    cluster.controllers.delete("jobs", name, "Background")
    assert ends(run, cluster) == ["QUEUED", "RUNNING", "QUEUED", "RUNNING", "SUCCEEDED"]
    assert "interrupted" in run.log_path.read_text()  # SIGTERM reached the worker: it wrote a checkpoint first


def test_a_waiting_job_deleted_by_hand_is_told_and_made_again(serve: Serve, cluster: FakeCluster) -> None:
    cluster.controllers.kubelet.scenario = "unschedulable"
    run = started(serve(), n=5)
    until(lambda: cluster.names("pods"), "there is a pod")
    (waiting,) = cluster.names("pods")
    cluster.controllers.delete("jobs", cluster.names("jobs")[0], "Background")
    until(lambda: waiting not in cluster.names("pods"), "it is gone, and never began")
    cluster.controllers.kubelet.scenario = ""
    assert ends(run, cluster) == ["QUEUED", "QUEUED", "RUNNING", "SUCCEEDED"]
    assert "somebody deleted it" in run.log_path.read_text()


def test_jobs_of_runs_that_are_gone_are_cleared_away(serve: Serve, cluster: FakeCluster, home: Path) -> None:
    service = serve()
    run = started(service, n=10_000, step_s=0.02)
    counts(run)
    service.stop()
    run.path.rename(home / "moved-away")
    serve()
    until(lambda: not cluster.names("jobs"), "the Job is deleted")


def test_a_worker_that_always_dies_ends_failed_with_its_last_lines(serve: Serve, cluster: FakeCluster) -> None:
    run = started(serve("fail"), "fail", mode="exit")
    ends(run, cluster, "FAILED")
    error = summary(run).error or {}
    assert error["reason"] == "WORKER_DIED"
    assert "exit code 3" in error["message"]
    assert "these are my last words" in error["message"]
    assert ATTEMPT_LINE in run.worker_log_path.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["none", "kill_once"])
def test_torchrun_over_two_pods(serve: Serve, cluster: FakeCluster, mode: str) -> None:
    run = started(serve("team", master_port=29500 + os.getpid() % 900), "team", processes=2, mode=mode)
    until(lambda: len(cluster.names("pods")) == 2, "there are two pods")
    until(lambda: cluster.names("services"), "there is a Service by which they meet")
    ends(run, cluster)
    assert (run.output_path / "text" / "text.txt").read_text() == "30.0"


def test_words_while_it_waits_do_not_hinder_the_worker(serve: Serve, cluster: FakeCluster) -> None:
    """The service holds the LOCK for moments; the worker waits for it."""
    service = serve()
    home = service.server.home
    home.mkdir(exist_ok=True)
    some_text(home)
    run = RunDirectory(home, "r1", "count")
    cluster.controllers.kubelet.start_delay_s = 0.0
    started(service, n=3)
    until(lambda: cluster.names("pods"), "there is a pod")
    lock = run.try_lock()
    if lock is not None:  # before the worker: what the service does, but for longer
        time.sleep(2)
        os.close(lock)
    assert ends(run, cluster) == ["QUEUED", "RUNNING", "SUCCEEDED"], (states(run), messages(run))
