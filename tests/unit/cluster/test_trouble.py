"""Bad input and bad weather: what a cluster refuses, loses or does not answer, and the words for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentforge.kit.cluster.settings import ClusterSettings, read_template
from agentforge.kit.errors import FailedPrecondition, ForgeError, InvalidInput
from tests.fakes.kubernetes_api import FakeCluster
from tests.unit.cluster.conftest import TEMPLATE, Service, nothing_left, until
from tests.unit.cluster.runs import counts, ends, messages, started, the_pod
from tests.unit.kit.workers import states, summary

Serve = Callable[..., Service]


@pytest.mark.parametrize(
    ("scenario", "reason", "words"),
    [
        ("unschedulable", "UNSCHEDULABLE", "3 Insufficient nvidia.com/gpu"),
        ("image", "IMAGE_NOT_PULLED", "ErrImagePull"),
        ("mount", "VOLUME_NOT_MOUNTED", "Multi-Attach"),
    ],
)
def test_what_a_pod_waits_for_is_told_and_not_waited_for_ever(
    serve: Serve, cluster: FakeCluster, scenario: str, reason: str, words: str
) -> None:
    cluster.controllers.kubelet.scenario = scenario
    run = started(serve(pending_timeout_s=2.5), n=5)
    until(lambda: any(words in message for message in messages(run)), "it is told")
    assert states(run) == ["QUEUED"]
    ends(run, cluster, "FAILED")
    error = summary(run).error or {}
    assert error["reason"] == reason
    assert words in error["message"]
    assert error["next_step"]
    assert len(messages(run)) == 1  # said once, not each second


def test_a_job_that_a_queue_holds_waits_for_it_however_long(serve: Serve, cluster: FakeCluster) -> None:
    held = {**TEMPLATE, "spec": {**TEMPLATE["spec"], "suspend": True}}
    run = started(serve(pending_timeout_s=0.5, template=held), n=5)
    until(lambda: any("Kueue" in message for message in messages(run)), "it is told")
    time.sleep(1.5)  # three times as long as any other Job may wait
    assert states(run) == ["QUEUED"]
    assert not cluster.names("pods")
    (name,) = cluster.names("jobs")
    job = cluster.store.get("jobs", name)
    assert job is not None
    job["spec"]["suspend"] = False  # as Kueue does when it admits it
    cluster.store.update("jobs", job)
    ends(run, cluster)
    assert len(messages(run)) == 1


def test_an_image_name_that_none_can_have_fails_at_once(serve: Serve, cluster: FakeCluster) -> None:
    cluster.controllers.kubelet.scenario = "image_name"
    run = started(serve(pending_timeout_s=600), n=5)
    ends(run, cluster, "FAILED")
    assert (summary(run).error or {})["reason"] == "IMAGE_NOT_PULLED"


@pytest.mark.slow
@pytest.mark.parametrize("where", ["jobs", "pods"])
def test_a_quota_is_waited_for_and_then_told(serve: Serve, cluster: FakeCluster, where: str) -> None:
    service = serve(pending_timeout_s=2.5)
    if where == "jobs":
        cluster.faults.quota = "trial, requested: count/jobs.batch=1, used: 4, limited: 4"
    else:
        cluster.controllers.pods_refused = "exceeded quota: trial, requested: requests.nvidia.com/gpu=1"
    run = started(service, n=5)
    ends(run, cluster, "FAILED")
    assert (summary(run).error or {})["reason"] == "QUOTA_EXCEEDED"
    assert any("exceeded quota: trial" in message for message in messages(run))


def test_a_quota_that_is_raised_in_time_lets_the_run_begin(serve: Serve, cluster: FakeCluster) -> None:
    service = serve()
    cluster.faults.quota = "trial"
    run = started(service, n=5)
    until(lambda: messages(run), "it is told")
    cluster.faults.quota = ""
    assert ends(run, cluster) == ["QUEUED", "RUNNING", "SUCCEEDED"]


@pytest.mark.parametrize(
    ("how", "end", "words"),
    [("oom", "FAILED", "512Mi"), ("evicted", "SUCCEEDED", "low on resource"), ("node_lost", "SUCCEEDED", "PodGC")],
)
def test_a_struck_pod_is_named(serve: Serve, cluster: FakeCluster, how: str, end: str, words: str) -> None:
    run = started(serve(), n=50, every=5, step_s=0.03)
    counts(run)
    cluster.controllers.kubelet.strike(the_pod(cluster), how)
    ends(run, cluster, end)
    assert words in run.log_path.read_text()
    if how == "oom":
        assert (summary(run).error or {})["reason"] == "WORKER_OUT_OF_MEMORY"


def test_a_deadline_ends_the_run(serve: Serve, cluster: FakeCluster) -> None:
    run = started(serve("fail", deadline_s=2), "fail", mode="stubborn")
    cluster.controllers.kubelet.grace_s = 0.3
    until(lambda: "passed the deadline" in run.log_path.read_text(), "it is told")


def test_a_server_in_trouble_is_asked_again(serve: Serve, cluster: FakeCluster) -> None:
    service = serve()
    cluster.faults.answers = [500, 429, 503, 0, 500]
    cluster.faults.hang_s = 0.2
    run = started(service, n=20, step_s=0.02)
    assert ends(run, cluster) == ["QUEUED", "RUNNING", "SUCCEEDED"]


def test_watches_that_close_or_expire_begin_again(serve: Serve, cluster: FakeCluster) -> None:
    cluster.faults.watch_s = 0.2
    run = started(serve(), n=60, step_s=0.03)
    counts(run)
    cluster.store.forgotten = cluster.store.version + 1
    until(lambda: cluster.calls.count("list pods") > 2, "it lists again")
    cluster.store.forgotten = 0
    assert ends(run, cluster) == ["QUEUED", "RUNNING", "SUCCEEDED"]
    assert cluster.calls.count("watch jobs") > 3


def test_a_token_that_expires_is_read_again(serve: Serve, cluster: FakeCluster, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("one\n")
    cluster.faults.token = "one"
    run = started(serve(token=token), n=40, step_s=0.03)
    counts(run)
    cluster.faults.token, cluster.faults.watch_s = "two", 0.2
    until(lambda: summary(run).final, "the worker needs no token")
    token.write_text("two\n")
    ends(run, cluster)


def test_missing_rights_are_named_before_anything_is_served(serve: Serve, cluster: FakeCluster) -> None:
    cluster.faults.forbidden = {"delete jobs", "list events"}
    with pytest.raises(FailedPrecondition, match="delete jobs, list events"):
        serve()


def test_a_template_with_a_typo_is_refused_at_the_start(serve: Serve, cluster: FakeCluster) -> None:
    typo = {"template": {"spec": {"containers": [{"name": "worker", "image": "x", "imagePullPolice": "Never"}]}}}
    with pytest.raises(InvalidInput, match="imagePullPolice"):
        serve(template=TEMPLATE | {"spec": typo})
    assert nothing_left(cluster)


def test_an_owner_that_is_not_there_is_refused(serve: Serve, cluster: FakeCluster) -> None:
    with pytest.raises(FailedPrecondition, match="no ConfigMap 'nobody'"):
        serve(owner="nobody")


def test_jobs_go_with_their_owner(serve: Serve, cluster: FakeCluster) -> None:
    cluster.store.add("configmaps", {"apiVersion": "v1", "metadata": {"name": "forge-job"}})
    run = started(serve(owner="forge-job"), n=10_000, step_s=0.02)
    counts(run)
    (job,) = cluster.store.list("jobs")
    assert job["metadata"]["ownerReferences"][0]["name"] == "forge-job"


def test_uneven_processes_are_refused(serve: Serve, cluster: FakeCluster) -> None:
    run = started(serve("team", processes_per_pod=2), "team", processes=3)
    ends(run, cluster, "FAILED")
    assert (summary(run).error or {})["reason"] == "UNEVEN_PODS"


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "cannot be read"), ("{", "no YAML"), ("kind: Job", "no batch/v1 Job"), ("- 1", "no batch/v1 Job"),
     ("{apiVersion: batch/v1, kind: Job}", "no containers"),
     ("{apiVersion: batch/v1, kind: Job, spec: {template: {spec: {containers: [{name: x}]}}}}", "named 'worker'")],
)  # fmt: skip
def test_templates_that_are_none(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "job.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InvalidInput, match=words):
        read_template(str(path))


@pytest.mark.parametrize(
    "wrong",
    [{"AGENTFORGE_JOB_PROCESSES_PER_POD": "0"}, {"AGENTFORGE_JOB_DEADLINE_S": "-1"},
     {"AGENTFORGE_JOB_MAX_RESTARTS": "many"}, {"AGENTFORGE_JOB_TEMPLATE": ""}],
)  # fmt: skip
def test_settings_that_are_wrong_are_named(tmp_path: Path, wrong: dict[str, str]) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("{apiVersion: batch/v1, kind: Job, spec: {template: {spec: {containers: [{name: worker}]}}}}")
    good: dict[str, Any] = {"AGENTFORGE_JOB_TEMPLATE": str(path), "AGENTFORGE_JOB_NAMESPACE": "forge"}
    assert ClusterSettings.of_environment(good).processes_per_pod == 1
    with pytest.raises(ForgeError) as refused:
        ClusterSettings.of_environment(good | wrong)
    assert refused.value.field == next(iter(wrong))
