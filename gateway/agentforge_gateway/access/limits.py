"""How often, and how much at once, one token may ask. In memory: each gateway counts for itself."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from agentforge.kit.errors import ResourceExhausted

_FORGET_S = 600.0  # a caller who is quiet for so long has a full bucket again, so nothing need be remembered


class TooMany(ResourceExhausted):
    """`retry_after_s` becomes the header Retry-After."""

    def __init__(self, message: str, reason: str, retry_after_s: int) -> None:
        super().__init__(message, reason=reason, next_step=f"Try again in {retry_after_s} s.")
        self.retry_after_s = retry_after_s


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float
    open: int = 0


class Limits:
    """A token bucket of `burst` calls that fills with `rate_per_s`, and `at_once` calls that are open; 0: no limit.

    A stream is a call that is open for long.
    """

    def __init__(self, rate_per_s: float, burst: int, at_once: int) -> None:
        self._rate = rate_per_s
        self._burst = burst
        self._at_once = at_once
        self._buckets: dict[str, _Bucket] = {}
        self._swept = time.monotonic()

    @contextlib.contextmanager
    def taken(self, who: str) -> Iterator[None]:
        """For the time of a call."""
        bucket = self._bucket(who)
        if self._at_once and bucket.open >= self._at_once:
            raise TooMany(
                f"{bucket.open} calls of this token are open; {self._at_once} may be", "TOO_MANY_AT_ONCE", 1
            )
        if self._rate:
            if bucket.left < 1:
                wait_s = max(1, round((1 - bucket.left) / self._rate))
                raise TooMany(f"more than {self._rate:g} calls a second", "RATE_LIMITED", wait_s)
            bucket.left -= 1
        bucket.open += 1
        try:
            yield
        finally:
            bucket.open -= 1

    def _bucket(self, who: str) -> _Bucket:
        now = time.monotonic()
        if now - self._swept > _FORGET_S:
            self._swept = now
            self._buckets = {k: b for k, b in self._buckets.items() if b.open or now - b.at < _FORGET_S}
        bucket = self._buckets.setdefault(who, _Bucket(self._burst, now))
        bucket.left = min(self._burst, bucket.left + (now - bucket.at) * self._rate)
        bucket.at = now
        return bucket
