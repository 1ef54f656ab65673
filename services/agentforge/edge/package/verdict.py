"""What was found of a package: one line for each thing looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from agentforge.kit.errors import ForgeError


@dataclass(frozen=True)
class Check:
    name: str
    status: Literal["ok", "failed", "not checked"]
    fact: str
    reason: str = ""  # of a failure, for programs
    field: str = ""  # the file
    next_step: str = ""


@dataclass
class Verification:
    path: str
    name: str = ""
    version: str = ""
    signed_by: str | None = None  # fingerprint of the key that was given, if the signature is this key's
    checks: list[Check] = field(default_factory=list)
    not_verified_here: Sequence[str] = ()
    not_in_package: Sequence[str] = ()

    @property
    def failures(self) -> list[Check]:
        return [check for check in self.checks if check.status == "failed"]

    def ok(self, name: str, fact: str, where: str = "") -> None:
        self.checks.append(Check(name, "ok", fact, field=where))

    def failed(self, name: str, fact: str, reason: str, where: str = "", next_step: str = "") -> None:
        self.checks.append(Check(name, "failed", fact, reason, where, next_step))

    def not_checked(self, name: str, why: str, next_step: str = "") -> None:
        self.checks.append(Check(name, "not checked", why, next_step=next_step))

    def about(self, name: str) -> About:
        """Errors from within are failures of the package, each of several by itself."""
        return About(self, name)

    def failed_by(self, name: str, error: ForgeError) -> None:
        for one in error.violations:
            self.failed(name, one.message, one.reason, one.field, one.next_step)
        if not error.violations:
            self.failed(name, error.message, error.reason, error.field, error.next_step)

    def record(self) -> dict[str, Any]:
        said = asdict(self)
        return {"package": said.pop("path"), "verdict": "refused" if self.failures else "verified", **said}


class About:
    """A class, so that a type checker knows that it swallows."""

    def __init__(self, found: Verification, name: str) -> None:
        self._found, self._name = found, name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, ForgeError):
            self._found.failed_by(self._name, error)
        return isinstance(error, ForgeError)
