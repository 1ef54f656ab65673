"""Being asked to stop: by CANCEL.json, which ends the run, or by SIGTERM, after which it can go on."""

from __future__ import annotations

import signal
import threading


class RunStopped(BaseException):
    """Raised in a phase that was asked to stop. No `except Exception` on the way takes it for an error."""


class StopRequest:
    """Set by the heartbeat's thread or a signal, read by the phase between two steps."""

    def __init__(self) -> None:
        self.cancel_reason: str | None = None
        self.terminated = False
        self._asked = threading.Event()

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    def cancel(self, reason: str) -> None:
        self.cancel_reason = reason
        self._asked.set()

    def terminate(self) -> None:
        self.terminated = True
        self._asked.set()

    def wait(self, seconds: float) -> bool:
        """Sleep, but not beyond a request to stop."""
        return self._asked.wait(seconds)

    def on_signals(self) -> None:
        """Take SIGTERM, and Ctrl-C of a worker that was started by hand, as requests to stop."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.terminate())
