"""The manifests: names, commands, labels, and validity for the four newest minors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it brings no types
import pytest

from agentforge.kit.cluster import jobs, names
from agentforge.kit.errors import InvalidInput
from agentforge.kit.rundir import RunDirectory
from tests.fakes.kubernetes_api.validation import causes, minors
from tests.unit.cluster.conftest import QUICK
from tests.unit.kit.workers import asked


def made(run: RunDirectory, **settings: Any) -> dict[str, Any]:
    name = names.job_name(run, "installed")
    return jobs.job(run, name, "installed", replace(QUICK, **settings), ())


@pytest.mark.parametrize(("processes", "per_pod", "pods", "each"), [(2, 1, 2, 1), (8, 4, 2, 4), (2, 4, 1, 2)])
def test_processes_become_pods(home: Path, processes: int, per_pod: int, pods: int, each: int) -> None:
    run = asked(home, "team", processes=processes)
    job = made(run, processes_per_pod=per_pod)
    command = job["spec"]["template"]["spec"]["containers"][0]["command"]
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == pods
    told = dict(zip(command[4::2], command[5::2], strict=False))
    assert (told["--nnodes"], told["--nproc-per-node"]) == (str(pods), str(each))
    assert command[-3:] == ["-m", "agentforge.kit.worker", str(run.path)]
    assert not causes(job)
    job["metadata"]["uid"] = "u"
    for minor in minors():
        kubernetes_validate.validate(jobs.service(job), minor, strict=True)


def test_one_process_needs_no_torchrun(home: Path) -> None:
    run = asked(home, "echo")
    container = made(run)["spec"]["template"]["spec"]["containers"][0]
    assert container["command"] == ["python", "-P", "-m", "agentforge.kit.worker", str(run.path)]


def test_uneven_pods_name_the_way_out(home: Path) -> None:
    with pytest.raises(InvalidInput) as refused:
        jobs.pods_of(5, 2)
    assert "4 or 6" in refused.value.next_step


@pytest.mark.parametrize("run_id", ["A" * 64, "_.-x", "a.b-c", "Ünlike"[1:]])
def test_any_run_id_makes_labels_that_are_taken(home: Path, run_id: str) -> None:
    job = made(asked(home, "echo", run_id), deadline_s=5)
    assert not causes(job)
    assert job["metadata"]["annotations"][names.RUN_ID] == run_id
    assert job["spec"]["activeDeadlineSeconds"] == 5


def test_names_differ_by_run_installation_and_launch_alone(home: Path) -> None:
    one, other = asked(home, "echo", "a-b"), asked(home, "echo", "a.b")
    assert names.job_name(one, "i") == names.job_name(RunDirectory(home, "a-b", "echo"), "i")
    before = names.job_name(one, "i")
    assert len({before, names.job_name(other, "i"), names.job_name(one, "j")}) == 3
    with one.open_log() as log:
        log.append("log", {"level": "LEVEL_INFO", "message": "waiting: for a node"}, 0)
        assert names.job_name(one, "i") == before
        log.append("state_changed", {"state": "RUN_STATE_QUEUED", "reason": ""}, 0)
    assert names.job_name(one, "i") != before
    assert names.run_label(one) != names.run_label(other)


def test_the_template_is_kept_and_not_changed(home: Path) -> None:
    before = repr(QUICK.template)
    job = made(asked(home, "echo"))
    assert job["metadata"]["labels"]["app.kubernetes.io/instance"] == "trial"
    assert repr(QUICK.template) == before
