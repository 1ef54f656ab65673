"""Progress at a rate for people: a loop may report every step, the log gets ten a second and the last one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

_EVERY_S = 0.1


class ProgressGate:
    """Passes on the newest report when the last was long enough ago. `flush` is called before other events, by the
    heartbeat and at the end, so the newest report is late at most, never lost."""

    def __init__(self, write: Callable[[dict[str, Any]], None]) -> None:
        self._write = write
        self._lock = threading.RLock()
        self._waiting: dict[str, Any] | None = None
        self._written_at = -_EVERY_S

    def put(self, report: dict[str, Any]) -> None:
        with self._lock:
            self._waiting = report
            self.flush_due()

    def flush_due(self) -> None:
        if time.monotonic() - self._written_at >= _EVERY_S:
            self.flush()

    def flush(self) -> None:
        with self._lock:
            if self._waiting is not None:
                self._write(self._waiting)
                self._waiting = None  # after writing: when that fails, the report stays
                self._written_at = time.monotonic()
