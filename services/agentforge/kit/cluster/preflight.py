"""Before a service starts: has it the rights, and would the API server take a Job of this template?"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

from agentforge.kit.cluster import names, refusals
from agentforge.kit.cluster.api import Api, ApiRefused
from agentforge.kit.cluster.cluster import Cluster
from agentforge.kit.cluster.settings import ClusterSettings
from agentforge.kit.errors import FailedPrecondition

RIGHTS = (
    *(("batch", "jobs", verb) for verb in ("create", "get", "list", "watch", "delete")),
    *(("", "pods", verb) for verb in ("get", "list", "watch")),
    *(("", "services", verb) for verb in ("create", "get", "delete")),
    ("", "events", "list"),
)
_log = logging.getLogger(__name__)


async def check(api: Api, settings: ClusterSettings, home: Path, phase: str) -> None:
    """A server that does not answer is no reason not to start: runs wait for it, and say so."""
    try:
        async with asyncio.timeout(settings.start_check_s):
            await _check_rights(api, settings)
            await _check_owner(api, settings, home, phase)
            await _check_template(api, settings, home, phase)
    except TimeoutError:
        _log.warning("the API server does not answer; runs of %s will wait for it", phase)


async def missing_rights(api: Api, settings: ClusterSettings) -> list[str]:
    wanted = [*RIGHTS, *([("", "configmaps", "get")] if settings.owner else [])]
    return [
        f"{verb} {resource}"
        for group, resource, verb in wanted
        if not await _may(api, group, resource, verb, settings)
    ]


async def _check_rights(api: Api, settings: ClusterSettings) -> None:
    missing = await missing_rights(api, settings)
    if missing:
        message = f"the service account may not, in namespace {settings.namespace!r}: {', '.join(missing)}"
        step = "Bind the chart's Role to it, or one with the rights that docs/cluster.md lists."
        raise FailedPrecondition(message, reason="CLUSTER_FORBIDDEN", field=", ".join(missing), next_step=step)


async def _may(api: Api, group: str, resource: str, verb: str, settings: ClusterSettings) -> bool:
    asked: dict[str, Any] = {"namespace": settings.namespace, "group": group, "resource": resource, "verb": verb}
    if resource == "configmaps":
        asked["name"] = settings.owner
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    answer = await api.call("authorization", "create_self_subject_access_review", review)
    return bool(answer["status"]["allowed"])


async def _check_owner(api: Api, settings: ClusterSettings, home: Path, phase: str) -> None:
    if settings.owner and not await Cluster(api, settings, phase, "").owner():
        message = f"there is no ConfigMap {settings.owner!r} in namespace {settings.namespace!r}"
        step = "Set AGENTFORGE_JOB_OWNER to the one that the chart made, or to nothing."
        raise FailedPrecondition(message, reason="NO_JOB_OWNER", field="AGENTFORGE_JOB_OWNER", next_step=step)


async def _check_template(api: Api, settings: ClusterSettings, home: Path, phase: str) -> None:
    """A Job like those to come, which the server checks and does not make."""
    from agentforge.kit.cluster.jobs import example

    made = example(home, phase, names.installation(settings.owner, home), settings)
    try:
        await api.call(
            "batch", "create_namespaced_job", settings.namespace, made, dry_run="All", field_validation="Strict"
        )
    except ApiRefused as error:
        if error.status == 403 and "exceeded quota" in error.message:
            return  # it may be free when a run comes
        raise refusals.of_call(error, "create", "jobs") from None
