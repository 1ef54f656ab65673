"""What the chart, or somebody by hand, tells the launcher by the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from agentforge.kit.errors import InvalidInput

CREDENTIALS = Path("/var/run/secrets/kubernetes.io/serviceaccount")
WORKER = "worker"
"""Name of the template's container that the launcher gives its command."""


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    template: Mapping[str, Any]  # a batch/v1 Job whose container "worker" has no command
    namespace: str
    processes_per_pod: int = 1
    pending_timeout_s: float = 600.0
    deadline_s: int = 0  # of a whole Job; 0: none
    owner: str = ""  # name of the ConfigMap that owns all Jobs
    max_restarts: int = 3  # torchrun's, inside of one Job
    master_port: int = 29500
    lock_wait_s: float = 30.0  # how long a worker in a pod waits for the LOCK
    finished_ttl_s: int = 3600  # until Kubernetes itself removes a Job that nobody removed
    pending_words_s: float = 5.0  # between two looks for what a Job waits for
    look_s: float = 1.0  # between two looks at the log, or at the server itself
    linger_s: float = 15.0  # for a Job's pods to end by themselves once the log is final
    lost_pod_s: float = 120.0  # after which a pod of a lost node, which nobody can ask, no longer counts
    starting_s: float = 300.0  # from a container's start until its first heartbeat
    start_check_s: float = 20.0  # for the API server to answer when the service starts

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> ClusterSettings:
        settings = cls(
            template=read_template(environment.get("AGENTFORGE_JOB_TEMPLATE", "")),
            namespace=environment.get("AGENTFORGE_JOB_NAMESPACE") or _own_namespace(),
            owner=environment.get("AGENTFORGE_JOB_OWNER", ""),
        )
        return replace(
            settings,
            processes_per_pod=_whole(environment, "AGENTFORGE_JOB_PROCESSES_PER_POD", 1, 1),
            pending_timeout_s=_whole(environment, "AGENTFORGE_JOB_PENDING_TIMEOUT_S", 600, 1),
            deadline_s=_whole(environment, "AGENTFORGE_JOB_DEADLINE_S", 0, 0),
            max_restarts=_whole(environment, "AGENTFORGE_JOB_MAX_RESTARTS", 3, 0),
        )


def read_template(path: str) -> Mapping[str, Any]:
    """The Job that all Jobs are made of."""
    if not path:
        raise _bad("AGENTFORGE_JOB_TEMPLATE is not set", "Set it to a file with a batch/v1 Job, as the chart does.")
    try:
        job = yaml.safe_load(Path(path).read_bytes())
    except OSError as error:
        raise _bad(
            f"the Job template {path} cannot be read: {error.strerror}", "Mount it, or name another."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _bad(f"the Job template {path} is no YAML: {' '.join(str(error).split())}", "Correct it.") from None
    if not isinstance(job, dict) or (job.get("apiVersion"), job.get("kind")) != ("batch/v1", "Job"):
        raise _bad(f"the Job template {path} is no batch/v1 Job", "Begin it with apiVersion: batch/v1, kind: Job.")
    try:
        names = [container["name"] for container in job["spec"]["template"]["spec"]["containers"]]
    except (KeyError, TypeError):
        raise _bad(f"the Job template {path} has no containers", "Fill in spec.template.spec.containers.") from None
    if names.count(WORKER) != 1:
        raise _bad(f"the Job template {path} has no container named {WORKER!r}", f"Name one of {names} so.")
    return job


def _own_namespace() -> str:
    try:
        return (CREDENTIALS / "namespace").read_text().strip()
    except OSError:
        message = "AGENTFORGE_JOB_NAMESPACE is not set, and this is no pod with a service account"
        raise _bad(message, "Set it to the namespace that Jobs are made in.", "AGENTFORGE_JOB_NAMESPACE") from None


def _whole(environment: Mapping[str, str], name: str, default: int, least: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or int(text) < least:
        raise _bad(f"{name}={text!r} is no whole number of at least {least}", "Correct it.", name)
    return int(text)


def _bad(message: str, step: str, field: str = "AGENTFORGE_JOB_TEMPLATE") -> InvalidInput:
    return InvalidInput(message, reason="CLUSTER_SETTINGS", field=field, next_step=step)
