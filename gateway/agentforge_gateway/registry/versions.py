"""Names of models, semantic versions and how `NAME[:VERSION|ALIAS]` is read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering

from agentforge.kit.errors import InvalidInput
from agentforge.kit.paths import check_name

LATEST, BEST = "latest", "best"
COMPUTED = (LATEST, BEST)
"""Aliases that follow from the versions: nobody moves them by hand."""

_NUMBER = r"(0|[1-9][0-9]{0,8})"
_WORD = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_SEMVER = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_WORD}(?:\.{_WORD})*))?", re.ASCII)
_LONGEST = 64


@total_ordering
@dataclass(frozen=True)
class Version:
    """MAJOR.MINOR.PATCH[-PRERELEASE], ordered as semver.org says."""

    major: int
    minor: int
    patch: int
    prerelease: str = ""

    @classmethod
    def parse(cls, text: str, field: str = "version") -> Version:
        found = _SEMVER.fullmatch(text) if len(text) <= _LONGEST else None
        if found is None:
            raise InvalidInput(
                f"{field} {text[:_LONGEST]!r} is no semantic version",
                reason="BAD_VERSION",
                field=field,
                next_step="Write MAJOR.MINOR.PATCH, or MAJOR.MINOR.PATCH-rc.1 for a prerelease; no build metadata.",
            )
        return cls(int(found[1]), int(found[2]), int(found[3]), found[4] or "")

    @property
    def released(self) -> bool:
        return not self.prerelease

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}" + (f"-{self.prerelease}" if self.prerelease else "")

    def __lt__(self, other: Version) -> bool:
        return self._key() < other._key()

    def _key(self) -> tuple[int, int, int, bool, list[tuple[bool, int, str]]]:
        words = self.prerelease.split(".") if self.prerelease else []
        order = [(not word.isdigit(), int(word) if word.isdigit() else 0, word) for word in words]
        return self.major, self.minor, self.patch, self.released, order


def next_version(highest: Version | None, *, same_shapes: bool, same_config: bool) -> Version:
    """1.0.0 first. Other tensors' names or shapes: the next major; another phase, code or config: the next minor;
    all of it equal: the next patch."""
    if highest is None:
        return Version(1, 0, 0)
    if not same_shapes:
        return Version(highest.major + 1, 0, 0)
    if not same_config:
        return Version(highest.major, highest.minor + 1, 0)
    if not highest.released:
        return Version(highest.major, highest.minor, highest.patch)
    return Version(highest.major, highest.minor, highest.patch + 1)


def check_model_name(name: str) -> None:
    check_name(name, "name")


def check_alias(alias: str) -> None:
    """An alias that somebody moves: no version, and not one of those that follow from the versions."""
    check_name(alias, "alias")
    if alias in COMPUTED:
        raise InvalidInput(
            f"alias {alias!r} follows from the versions, and is not moved by hand",
            reason="COMPUTED_ALIAS",
            field="alias",
            next_step="Choose another alias, such as production.",
        )
    if alias[0].isdigit():
        raise InvalidInput(
            f"alias {alias!r} begins with a digit, as versions do",
            reason="INVALID_NAME",
            field="alias",
            next_step="Begin it with a letter.",
        )


def split_ref(text: str) -> tuple[str, str]:
    """NAME[:VERSION|ALIAS]; without the second part it is `latest`."""
    name, _, which = text.partition(":")
    check_model_name(name)
    return name, which or LATEST
