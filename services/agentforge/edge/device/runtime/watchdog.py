"""Notices a step that hangs: health goes down, and if the step does not end, the process does.

A thread cannot end another one that hangs inside a driver; systemd can start the whole process anew.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

EXIT_HUNG = 70  # EX_SOFTWARE
log = logging.getLogger(__name__)


class Watchdog:
    """`limit`: seconds a step may take; `grace`: seconds more until `give_up`."""

    def __init__(
        self,
        limit: float,
        grace: float,
        on_change: Callable[[bool], None] = lambda is_healthy: None,
        give_up: Callable[[], None] = lambda: os._exit(EXIT_HUNG),
    ) -> None:
        self.limit, self.grace = limit, grace
        self._on_change, self._give_up = on_change, give_up
        self._lock = threading.Lock()  # one step at a time: backends are not made for more
        self._began: float | None = None
        self._is_hung = self._is_draining = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    @property
    def is_healthy(self) -> bool:
        return not (self._is_hung or self._is_draining)

    @contextmanager
    def step(self) -> Iterator[None]:
        with self._lock:
            self._began = monotonic()
            try:
                yield
            finally:
                self._began = None

    def start(self) -> None:
        notify("READY=1")
        self._thread.start()

    def drain(self) -> None:
        """The process is to end; a step that hangs is still noticed."""
        notify("STOPPING=1")
        self._is_draining = True

    def stop(self) -> None:
        self._stop.set()

    def _watch(self) -> None:
        while not self._stop.wait(min(self.limit / 4, notify_interval())):
            began = self._began
            took = 0.0 if began is None else monotonic() - began
            if (took > self.limit) != self._is_hung:
                self._is_hung = took > self.limit
                log.warning(f"a step hangs for {took:.1f} s" if self._is_hung else "the step ended after all")
                self._on_change(self.is_healthy)
            if not self._is_hung:
                notify("WATCHDOG=1")
            elif took > self.limit + self.grace:
                log.error("a step hangs for %.1f s: giving up, so that the process is started anew", took)
                self._give_up()
                return


def notify(message: str) -> None:
    """Tell systemd, where it listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
            wire.sendto(message.encode(), address)
    except OSError as error:
        log.warning("systemd was not told %s: %s", message, error)


def notify_interval() -> float:
    """Half of what systemd waits for a sign of life."""
    told = os.environ.get("WATCHDOG_USEC", "")
    return int(told) / 2e6 if told.isdigit() and int(told) > 0 else 1.0
