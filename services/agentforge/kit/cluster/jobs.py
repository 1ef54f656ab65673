"""The Job of one launch, made from the template, and the headless Service by which its pods meet."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentforge.kit.cluster import names
from agentforge.kit.cluster.settings import WORKER, ClusterSettings
from agentforge.kit.errors import InvalidInput
from agentforge.kit.rundir import RunDirectory
from agentforge.kit.worker import LOCK_WAIT_VARIABLE

Manifest = dict[str, Any]
_PYTHON = ("python", "-P", "-m")  # -P: files of the working directory must not shadow modules
_INDEX = "$(JOB_COMPLETION_INDEX)"  # the kubelet fills it in


def pods_of(processes: int, per_pod: int) -> int:
    if processes > per_pod and processes % per_pod:
        message = f"{processes} processes cannot be shared evenly among pods of {per_pod}"
        below = processes - processes % per_pod
        step = f"Ask for {below} or {below + per_pod} processes, or set AGENTFORGE_JOB_PROCESSES_PER_POD."
        raise InvalidInput(message, reason="UNEVEN_PODS", field="processes", next_step=step)
    return max(1, processes // per_pod)


def processes_of(run: RunDirectory) -> int:
    return int(run.request().config.get("processes", 1))


def command(run: RunDirectory, name: str, settings: ClusterSettings, processes: int) -> list[str]:
    worker = ["agentforge.kit.worker", str(run.path)]
    if processes == 1:
        return [*_PYTHON, *worker]
    pods = pods_of(processes, settings.processes_per_pod)
    # Static rendezvous: rank 0 is in the pod with index 0, whose name is known before any pod runs, and no pod has
    # to find out by DNS whether it is the host. A pod that is lost ends the Job; the next Job goes on.
    meeting = {
        "nnodes": pods,
        "nproc-per-node": processes // pods,
        "node-rank": _INDEX,
        "master-addr": f"{name}-0.{name}",
        "master-port": settings.master_port,
        "max-restarts": settings.max_restarts,
    }
    told = [part for option, value in meeting.items() for part in (f"--{option}", str(value))]
    return [*_PYTHON, "torch.distributed.run", *told, "-m", *worker]


def job(
    run: RunDirectory, name: str, installed: str, settings: ClusterSettings, owners: Sequence[Mapping[str, Any]]
) -> Manifest:
    """`owners`: references to the objects with which the Job goes, too."""
    return _filled(run, name, installed, settings, owners, processes_of(run))


def example(home: Path, phase: str, installed: str, settings: ClusterSettings) -> Manifest:
    """As one of a run, for the server to check."""
    run = RunDirectory(home, "start-check", phase)
    return _filled(run, names.job_name(run, installed), installed, settings, (), settings.processes_per_pod)


def _filled(
    run: RunDirectory,
    name: str,
    installed: str,
    settings: ClusterSettings,
    owners: Sequence[Mapping[str, Any]],
    processes: int,
) -> Manifest:
    pods = pods_of(processes, settings.processes_per_pod)
    made = copy.deepcopy(dict(settings.template))
    made.pop("status", None)
    own = names.labels(run, installed)
    made["metadata"] = _marked(made.get("metadata"), own, run) | {"name": name, "namespace": settings.namespace}
    made["metadata"].pop("generateName", None)
    if owners:
        made["metadata"]["ownerReferences"] = [dict(owner) for owner in owners]
    spec = made["spec"]
    spec |= {"completions": pods, "parallelism": pods, "completionMode": "Indexed", "backoffLimit": 0}
    spec |= {"ttlSecondsAfterFinished": settings.finished_ttl_s}
    if settings.deadline_s:
        spec["activeDeadlineSeconds"] = settings.deadline_s
    template = spec["template"]
    template["metadata"] = _marked(template.get("metadata"), own, run)
    pod = template["spec"]
    pod["restartPolicy"] = "Never"
    if pods > 1:
        pod["subdomain"] = name
    container = next(each for each in pod["containers"] if each["name"] == WORKER)
    container["command"] = command(run, name, settings, processes)
    container.pop("args", None)
    container["terminationMessagePolicy"] = "FallbackToLogsOnError"  # its last lines, without a right to read logs
    container["env"] = _environment(container.get("env", ()), run, settings)
    return made


def service(made: Mapping[str, Any]) -> Manifest:
    """It goes with the Job. Names of its pods must be known before these are ready: they meet first."""
    metadata = made["metadata"]
    owner = {
        "apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata["uid"],
        "controller": True, "blockOwnerDeletion": False,
    }  # fmt: skip
    port = int(_after(_command(made), "--master-port"))
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": dict(metadata["labels"]),
            "ownerReferences": [owner],
        },
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {"batch.kubernetes.io/job-name": metadata["name"]},
            "ports": [{"name": "meeting", "port": port, "protocol": "TCP"}],
        },
    }


def _command(made: Mapping[str, Any]) -> list[str]:
    containers = made["spec"]["template"]["spec"]["containers"]
    return next(list(each["command"]) for each in containers if each["name"] == WORKER)


def _after(words: Sequence[str], option: str) -> str:
    return words[words.index(option) + 1]


def _marked(metadata: Mapping[str, Any] | None, own: Mapping[str, str], run: RunDirectory) -> dict[str, Any]:
    marked = dict(metadata or {})
    marked["labels"] = {**(marked.get("labels") or {}), **own}
    marked["annotations"] = {**(marked.get("annotations") or {}), names.RUN_ID: run.run_id}
    return marked


def _environment(
    given: Sequence[Mapping[str, Any]], run: RunDirectory, settings: ClusterSettings
) -> list[dict[str, Any]]:
    ours = {
        "AGENTFORGE_HOME": str(run.home),
        LOCK_WAIT_VARIABLE: f"{settings.lock_wait_s:g}",
        "PYTHONHASHSEED": "0",  # fixed hashing, as a local worker has it
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
    }
    kept = [dict(variable) for variable in given if variable["name"] not in ours]
    return [*kept, *({"name": name, "value": value} for name, value in ours.items())]
