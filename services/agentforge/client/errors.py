"""A gRPC status, turned back into the ForgeError that it was."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from agentforge.kit import errors
from agentforge.kit.errors import ForgeError, Violation
from agentforge.kit.serve.errors import DETAILS_KEY
from agentforge.v1 import event_pb2, phase_pb2

_CLASSES: dict[str, type[ForgeError]] = {
    cls.grpc_code: cls
    for cls in (
        errors.InvalidInput,
        errors.NotFound,
        errors.AlreadyExists,
        errors.FailedPrecondition,
        errors.Unauthenticated,
        errors.PermissionDenied,
        errors.ResourceExhausted,
        errors.DataLoss,
        errors.Unavailable,
        errors.RunFailed,
        errors.RunCancelled,
    )
}
_BY_REASON = {cls.default_reason: cls for cls in (errors.DiskFull, errors.MissingTool)}
_HINTS = {
    "UNAVAILABLE": "Check the address, and that the service runs.",
    "DEADLINE_EXCEEDED": "Try again, or give the client a longer timeout.",
    "UNIMPLEMENTED": "Client and service are of different versions: update the older one.",
    "RESOURCE_EXHAUSTED": "Make the message smaller: large data travels as inputs on the volume.",
}


def forge_error(error: grpc.RpcError, target: str = "") -> ForgeError:
    """Of either a blocking or an asyncio call, to the service at `target`."""
    call: Any = error  # both kinds have these methods; grpc's stubs tell only of one
    code: str = call.code().name
    text = call.details() or code.lower().replace("_", " ")
    status = _status(call.trailing_metadata() or ())
    if status is None:  # from grpc itself, or from something on the way
        cls = errors.Unavailable if code == "DEADLINE_EXCEEDED" else _CLASSES.get(code, ForgeError)
        if target and cls is errors.Unavailable:
            text = f"no answer from the service at {target}: {text}"
        return cls(text, reason=code, next_step=_HINTS.get(code, ""))
    info = _first(status, error_details_pb2.ErrorInfo())
    cls = _BY_REASON.get(info.reason) or _CLASSES.get(code, ForgeError)
    return cls(
        text,
        reason=info.reason,
        field=info.metadata.get("field", ""),
        next_step=info.metadata.get("next_step", ""),
        violations=[violation(detail) for detail in _all(status, event_pb2.ErrorDetail)],
    )


def violation(detail: event_pb2.ErrorDetail) -> Violation:
    return Violation(detail.field, detail.message, detail.reason, detail.next_step)


def run_error(run: phase_pb2.Run) -> ForgeError:
    """Of a run that ended, but not well."""
    if run.state == event_pb2.RUN_STATE_CANCELLED:
        again = "Start it again with retry=True to go on from its last checkpoint."
        return errors.RunCancelled(f"run {run.run_id!r} of {run.phase} was cancelled", next_step=again)
    why = run.error
    return errors.RunFailed(why.message, reason=why.reason, field=why.field, next_step=why.next_step)


def _status(metadata: Iterable[tuple[str, str | bytes]]) -> status_pb2.Status | None:
    for key, value in metadata:
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                return None  # of some proxy's making; code and text still stand
    return None


def _first(status: status_pb2.Status, message: Any) -> Any:
    """Unpacks the first detail of that type into the message; leaves it empty when there is none."""
    any(detail.Unpack(message) for detail in status.details)
    return message


def _all(status: status_pb2.Status, kind: type[Message]) -> list[Any]:
    found = []
    for detail in status.details:
        message = kind()
        if detail.Unpack(message):
            found.append(message)
    return found
