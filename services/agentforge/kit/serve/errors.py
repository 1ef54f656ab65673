"""ForgeError to gRPC status with google.rpc details, within what gRPC metadata may hold."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from agentforge.kit.errors import ForgeError, Violation
from agentforge.v1 import event_pb2

DOMAIN = "agentforge"
DETAILS_KEY = "grpc-status-details-bin"
_MAX_TEXT_BYTES = 400
# Metadata beyond 8 KiB is dropped by peers, and the whole answer with it; base64 eats a quarter.
_MAX_VIOLATION_BYTES = 2_500
_MAX_MESSAGE_BYTES = 600  # three times that on the wire, where it is percent-encoded

log = logging.getLogger("agentforge.serve")


def status_of(error: ForgeError) -> status_pb2.Status:
    """ErrorInfo for programs, BadRequest for forms, and an ErrorDetail with the next step for each field."""
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
    info.metadata["field"] = shorten(error.field)
    info.metadata["next_step"] = shorten(error.next_step)
    status = status_pb2.Status(code=code_of(error).value[0], message=shorten(error.message, _MAX_MESSAGE_BYTES))
    status.details.append(_packed(info))
    violations = _named(error)
    if violations:
        _add_violations(status, violations)
    return status


def code_of(error: ForgeError) -> grpc.StatusCode:
    return grpc.StatusCode[error.grpc_code]


def error_detail(violation: Violation) -> event_pb2.ErrorDetail:
    return event_pb2.ErrorDetail(
        reason=violation.reason,
        message=shorten(violation.message),
        field=shorten(violation.field),
        next_step=shorten(violation.next_step),
    )


def violations_of(error: ForgeError) -> tuple[Violation, ...]:
    """All that the error complains of; the error itself when it lists nothing."""
    return error.violations or (Violation(error.field, error.message, error.reason, error.next_step),)


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: ForgeError) -> NoReturn:
    status = status_of(error)
    trailing = ((DETAILS_KEY, status.SerializeToString()),)
    await context.abort(code_of(error), status.message, trailing)
    raise AssertionError("abort() always raises")


def unexpected(error: Exception, method: str) -> ForgeError:
    """A bug: the caller gets a reference into our log, never a traceback."""
    reference = secrets.token_hex(4)
    log.error("%s failed unexpectedly, reference %s", method, reference, exc_info=error)
    return ForgeError(
        f"internal error, see the service's log, reference {reference}",
        next_step="Look for the reference in the service's log and report what stands there.",
    )


def shorten(text: str, limit: int = _MAX_TEXT_BYTES) -> str:
    """At most so many bytes of UTF-8."""
    data = text.encode(errors="replace")
    return data.decode() if len(data) <= limit else data[: limit - 3].decode(errors="ignore") + "…"


def _named(error: ForgeError) -> tuple[Violation, ...]:
    return violations_of(error) if error.violations or error.field else ()


def _add_violations(status: status_pb2.Status, violations: Sequence[Violation]) -> None:
    bad = error_details_pb2.BadRequest()
    details: list[event_pb2.ErrorDetail] = []
    size = 0
    for left, violation in zip(range(len(violations), 0, -1), violations, strict=True):
        detail = error_detail(violation)
        size += 2 * detail.ByteSize()
        if details and size > _MAX_VIOLATION_BYTES:
            bad.field_violations.add(description=f"and {left} more", reason="MORE_VIOLATIONS")
            break
        details.append(detail)
        bad.field_violations.add(field=detail.field, description=detail.message, reason=detail.reason)
    status.details.append(_packed(bad))
    status.details.extend(_packed(detail) for detail in details)


def _packed(message: Any) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
