"""The API server's refusals as errors of ours: what was not allowed, or not right, and what to do."""

from __future__ import annotations

from agentforge.kit.cluster.api import ApiRefused
from agentforge.kit.errors import FailedPrecondition, ForgeError, InvalidInput, NotFound, Unavailable


def of_call(error: ApiRefused, verb: str, resource: str) -> ForgeError:
    if error.status == 403:
        message = f"the service account may not {verb} {resource}: {error.message}"
        return FailedPrecondition(
            message, reason="CLUSTER_FORBIDDEN", field=f"{verb} {resource}", next_step=_RIGHTS
        )
    if error.status in (400, 422):
        causes = "; ".join(f"{field}: {message}" for field, message in error.causes) or error.message
        step = "Correct the Job template (the chart's values for workers); then retry."
        field = error.causes[0][0] if error.causes else "AGENTFORGE_JOB_TEMPLATE"
        return InvalidInput(
            f"the API server refuses the Job: {causes}", reason="JOB_INVALID", field=field, next_step=step
        )
    if error.status == 404:
        step = "Set AGENTFORGE_JOB_NAMESPACE to a namespace that exists."
        return NotFound(f"the cluster has no such place: {error.message}", reason="NO_NAMESPACE", next_step=step)
    step = "See whether the API server is well; then retry."
    return Unavailable(f"the API server answers {error}", reason="CLUSTER_UNAVAILABLE", next_step=step)


_RIGHTS = "Bind the chart's Role to the service account, or one with the rights that docs/cluster.md lists."
