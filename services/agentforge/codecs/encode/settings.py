"""Settings of a spec, each checked; and what no codec takes, refused."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np

from agentforge.codecs.spec import Spec
from agentforge.kit.errors import InvalidInput


def whole(spec: Spec, name: str, default: int, allowed: Collection[int]) -> int:
    """A setting that is one of some whole numbers."""
    value = spec.settings.get(name, default)
    if type(value) is not int or value not in allowed:
        raise _wrong(spec, name, f"is {value!r}; it is {_told(allowed)}")
    return value


def word(spec: Spec, name: str, default: str, allowed: Iterable[str]) -> str:
    value, known = spec.settings.get(name, default), tuple(allowed)
    if not isinstance(value, str) or value not in known:
        raise _wrong(spec, name, f"is {value!r}; it is one of {', '.join(known)}")
    return value


def known(spec: Spec, *names: str) -> None:
    for name in sorted(spec.settings):
        if name not in names:
            raise _wrong(spec, name, f"is no setting of codec {spec.codec}, which has {', '.join(names)}")


def finite(w: np.ndarray, what: str) -> None:
    if not np.isfinite(w).all():
        raise InvalidInput(f"{what} is not finite, in the bits that it would be stored in", reason="NOT_FINITE")


def _told(allowed: Collection[int]) -> str:
    if isinstance(allowed, range):
        return f"a whole number from {allowed[0]} to {allowed[-1]}"
    return " or ".join(map(str, allowed))


def _wrong(spec: Spec, name: str, message: str) -> InvalidInput:
    return InvalidInput(f"{name} {message}", reason="OUT_OF_RANGE", field=f"{spec.codec}.{name}")
