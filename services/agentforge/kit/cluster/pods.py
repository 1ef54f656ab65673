"""What the conditions of a Job and its pods mean, in words for whoever waits for the run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from agentforge.kit.cluster.api import Object
from agentforge.kit.cluster.settings import WORKER
from agentforge.kit.diagnosis import Ending
from agentforge.kit.errors import FailedPrecondition, ForgeError, ResourceExhausted

_HOPELESS = frozenset({"InvalidImageName", "ErrImageNeverPull"})
_EVENTS = frozenset({"FailedMount", "FailedAttachVolume", "FailedCreate", "FailedScheduling"})
_INDEX = "batch.kubernetes.io/job-completion-index"
_STEPS = {
    "UNSCHEDULABLE": "Free or add nodes with what the Job template asks for (GPUs, memory), or ask for less.",
    "IMAGE_NOT_PULLED": "Correct the image's name or the pull secret in the chart's values; then retry.",
    "VOLUME_NOT_MOUNTED": "The claim must be ReadWriteMany: pods on several nodes use it at once; then retry.",
    "QUOTA_EXCEEDED": "Raise the namespace's quota, or wait until other Jobs have ended; then retry.",
    "JOB_PENDING": "See `kubectl describe` of the Job and its pods.",
}

SUSPENDED = "the Job is suspended: a queue (Kueue) has not admitted it yet"


def over(job: Object) -> bool:
    """Complete or Failed, after all its pods have ended."""
    return _condition(job, "Complete") is not None or _condition(job, "Failed") is not None


def works(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")


def started(pods: Iterable[Object]) -> bool:
    """Whether a container of the worker runs or has run."""
    return any(state in worker_state(pod) for pod in pods for state in ("running", "terminated"))


def worker_state(pod: Object) -> dict[str, Any]:
    for status in pod.get("status", {}).get("containerStatuses") or ():
        if status["name"] == WORKER:
            return dict(status.get("state") or {})
    return {}


def waits_for(pods: Sequence[Object], events: Iterable[Object] = ()) -> tuple[str, str]:
    """(reason of an error, words); empty when nothing is wrong that anybody could see."""
    for pod in pods:
        waiting = worker_state(pod).get("waiting", {})
        reason, message = waiting.get("reason", ""), waiting.get("message", "")
        if "Image" in reason:
            return "IMAGE_NOT_PULLED", f"{reason}: {message}"
        if reason.startswith("Create"):
            return "JOB_PENDING", f"{reason}: {message}"
        scheduled = _condition(pod, "PodScheduled", "False")
        if scheduled is not None and scheduled.get("message"):
            return "UNSCHEDULABLE", scheduled["message"]
    told = [event for event in events if event.get("type") != "Normal" and event.get("reason") in _EVENTS]
    if told:
        last = max(told, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
        return _reason_of(last), f"{last['reason']}: {' '.join(str(last.get('message', '')).split())}"
    return "", ""


def suspended(job: Object | None) -> bool:
    return job is not None and job["spec"].get("suspend") is True


def hopeless(pods: Iterable[Object]) -> bool:
    """Waiting will not help."""
    return any(worker_state(pod).get("waiting", {}).get("reason") in _HOPELESS for pod in pods)


def refusal(reason: str, words: str, name: str, seconds: float) -> ForgeError:
    """Of a Job that waited too long."""
    family = ResourceExhausted if reason in ("UNSCHEDULABLE", "QUOTA_EXCEEDED") else FailedPrecondition
    reason = reason or "JOB_PENDING"
    message = f"no worker began within {seconds:.0f} s: Job {name}: {words or 'nothing says what it waits for'}"
    return family(message, reason=reason, next_step=_STEPS[reason])


def ending(job: Object | None, name: str, pods: Sequence[Object]) -> Ending:
    """Of a Job that is over or gone, though the log has no last word of it."""
    failed = sorted((pod for pod in pods if pod.get("status", {}).get("phase") == "Failed"), key=_blame)
    condition = _condition(job, "Failed") if job is not None else None
    if condition is not None and condition.get("reason") == "DeadlineExceeded":
        limit = (job or {})["spec"].get("activeDeadlineSeconds")
        return Ending(told=f"passed the deadline of its Job ({limit} s, AGENTFORGE_JOB_DEADLINE_S)")
    for pod in failed:
        found = _of_pod(pod)
        if found is not None:
            return found
    if job is None:
        return Ending(told=f"lost its Job {name}: somebody deleted it")
    if condition is not None:
        return Ending(told=f"failed with its Job {name}: {condition.get('message') or condition.get('reason')}")
    return Ending(exit_code=0)


def _of_pod(pod: Object) -> Ending | None:
    name, status = pod["metadata"]["name"], pod["status"]
    ended = worker_state(pod).get("terminated", {})
    tail = str(ended.get("message", "")).strip()
    if ended.get("reason") == "OOMKilled":
        return Ending(exit_code=ended.get("exitCode"), container_limit=_memory_limit(pod), log_tail=tail)
    if status.get("reason"):  # Evicted, NodeLost, Preempting, UnexpectedAdmissionError, …
        why = f"{status['reason']}: {status.get('message', '')}".strip(": ")
        return Ending(told=f"lost its pod {name}: {why}", log_tail=tail)
    target = _condition(pod, "DisruptionTarget")
    if target is not None:
        why = f"{target.get('reason')}: {target.get('message', '')}".strip(": ")
        return Ending(told=f"lost its pod {name}: {why}", log_tail=tail)
    if "exitCode" in ended:
        code = int(ended["exitCode"])
        return Ending(signal=code - 128, log_tail=tail) if code > 128 else Ending(exit_code=code, log_tail=tail)
    return None


def _blame(pod: Object) -> tuple[bool, str, int]:
    """First the pods that something happened to, then those that ended first, then index 0."""
    ended = worker_state(pod).get("terminated", {})
    struck = ended.get("reason") == "OOMKilled" or bool(pod["status"].get("reason"))
    index = (pod["metadata"].get("annotations") or {}).get(_INDEX, "0")
    return not struck, str(ended.get("finishedAt", "")), int(index)


def _memory_limit(pod: Object) -> str:
    for container in pod["spec"]["containers"]:
        if container["name"] == WORKER:
            limit = ((container.get("resources") or {}).get("limits") or {}).get("memory")
            return str(limit) if limit else "none of its own: the node's"
    return "unknown"


def _reason_of(event: Object) -> str:
    if event["reason"] == "FailedScheduling":
        return "UNSCHEDULABLE"
    if event["reason"] == "FailedCreate":
        return "QUOTA_EXCEEDED" if "exceeded quota" in str(event.get("message")) else "JOB_PENDING"
    return "VOLUME_NOT_MOUNTED"


def _condition(found: Object, name: str, status: str = "True") -> Object | None:
    for condition in found.get("status", {}).get("conditions") or ():
        if condition["type"] == name and condition["status"] == status:
            return dict(condition)
    return None
