"""One family of errors. Each says what happened, where, and what to do next, in gRPC, HTTP and exit codes alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing wrong with a request: the field (dotted path, file or tensor), what is wrong, and the way out."""

    field: str
    message: str
    reason: str = "INVALID_FIELD"
    next_step: str = ""


class ForgeError(Exception):
    """The root. `reason` is for programs (UPPER_SNAKE_CASE, stable); `message` and `next_step` are for people."""

    default_reason: ClassVar[str] = "INTERNAL"
    grpc_code: ClassVar[str] = "INTERNAL"
    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        field: str = "",
        next_step: str = "",
        violations: Sequence[Violation] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.field = field
        self.next_step = next_step
        self.violations = tuple(violations)

    def at(self, field: str) -> list[Violation]:
        """All that is wrong, said of this field of a request; of several things each with its own way out."""
        every = self.violations or (Violation(field, self.message, self.reason, self.next_step),)
        return [replace(each, field=field) for each in every]

    def __str__(self) -> str:
        where = f" [{self.field}]" if self.field and self.field not in self.message else ""
        then = f" {self.next_step}" if self.next_step else ""
        return f"{self.message}{where}{then}"


class InvalidInput(ForgeError):
    """The caller must change the request."""

    default_reason = "INVALID_INPUT"
    grpc_code = "INVALID_ARGUMENT"
    http_status = 422
    exit_code = 2

    @classmethod
    def of(cls, violations: Sequence[Violation]) -> InvalidInput:
        """One error for all that is wrong, so that it is mended in one go."""
        first = violations[0]
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        return cls(
            first.message + more,
            reason=first.reason,
            field=first.field,
            next_step=first.next_step,
            violations=violations,
        )


class NotFound(ForgeError):
    default_reason = "NOT_FOUND"
    grpc_code = "NOT_FOUND"
    http_status = 404
    exit_code = 2


class AlreadyExists(ForgeError):
    """The id is taken by another request."""

    default_reason = "ALREADY_EXISTS"
    grpc_code = "ALREADY_EXISTS"
    http_status = 409
    exit_code = 2


class FailedPrecondition(ForgeError):
    """The request is well-formed, but the state of the system does not allow it."""

    default_reason = "FAILED_PRECONDITION"
    grpc_code = "FAILED_PRECONDITION"
    http_status = 409
    exit_code = 2


class Unauthenticated(ForgeError):
    default_reason = "UNAUTHENTICATED"
    grpc_code = "UNAUTHENTICATED"
    http_status = 401
    exit_code = 2


class PermissionDenied(ForgeError):
    """The caller is known, and may not do this."""

    default_reason = "PERMISSION_DENIED"
    grpc_code = "PERMISSION_DENIED"
    http_status = 403
    exit_code = 2


class ResourceExhausted(ForgeError):
    """Disk, memory or a queue is full."""

    default_reason = "RESOURCE_EXHAUSTED"
    grpc_code = "RESOURCE_EXHAUSTED"
    http_status = 429
    exit_code = 1


class DiskFull(ResourceExhausted):
    default_reason = "DISK_FULL"
    http_status = 507


class DataLoss(ForgeError):
    """A file is not what its digest says."""

    default_reason = "DATA_LOSS"
    grpc_code = "DATA_LOSS"
    http_status = 500
    exit_code = 1


class Unavailable(ForgeError):
    """A service cannot be reached; trying again may help."""

    default_reason = "UNAVAILABLE"
    grpc_code = "UNAVAILABLE"
    http_status = 503
    exit_code = 3


class MissingTool(ForgeError):
    """An optional package or program is needed and not here."""

    default_reason = "MISSING_TOOL"
    grpc_code = "FAILED_PRECONDITION"
    http_status = 409
    exit_code = 2


class RunFailed(ForgeError):
    """A run ended FAILED; the reason is the run's own."""

    default_reason = "RUN_FAILED"
    grpc_code = "ABORTED"
    http_status = 500
    exit_code = 1


class RunCancelled(ForgeError):
    default_reason = "CANCELLED"
    grpc_code = "CANCELLED"
    http_status = 409
    exit_code = 130
