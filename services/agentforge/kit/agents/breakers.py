"""A circuit breaker for each agent's work: what failed too often in a row is not tried for a while."""

from __future__ import annotations

import threading
from typing import Any

from purgatory import SyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState

STATES = {"closed": 0.0, "half-opened": 0.5, "opened": 1.0}


class Breakers:
    """May be shared by the graphs of several threads. `failures` in a row open a circuit for `open_s` seconds; then
    it is half open: a success closes it, a failure opens it again."""

    def __init__(self, failures: int = 5, open_s: float = 30.0) -> None:
        self._factory = SyncCircuitBreakerFactory(default_threshold=failures, default_ttl=open_s)
        self._lock = threading.Lock()
        self._names: set[str] = set()

    def allows(self, circuit: str) -> bool:
        with self._lock:
            try:
                self._context(circuit).handle_new_request()
            except OpenedState:
                return False
            return True

    def ended(self, circuit: str, error: Exception | None) -> None:
        """Of an attempt that was allowed."""
        with self._lock:
            context = self._context(circuit)
            if error is None:
                context.handle_end_request()
            else:
                context.handle_exception(error)

    def states(self) -> dict[str, str]:
        with self._lock:
            return {name: self._context(name).state for name in sorted(self._names)}

    def _context(self, circuit: str) -> Any:
        """Attempts begin and end in different calls, so the breaker is not used as a `with` block."""
        self._names.add(circuit)
        context = self._factory.get_breaker(circuit).context
        context.messages.clear()  # for listeners, of which there are none
        return context
