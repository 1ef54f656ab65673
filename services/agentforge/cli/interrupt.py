"""Ctrl-C: the first cancels the run and waits for its end, the second leaves it to itself."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from agentforge.kit.errors import ForgeError


@contextmanager
def cancels(cancel: Callable[[], object]) -> Iterator[None]:
    """While the block runs, the first SIGINT calls `cancel` beside it; the second raises KeyboardInterrupt."""
    asked = threading.Event()

    def attempt() -> None:
        try:
            cancel()
        except ForgeError as error:
            print(f"could not cancel: {error}\nCtrl-C again leaves the run to itself.", file=sys.stderr)

    def handle(_signal: int, _frame: FrameType | None) -> None:
        if asked.is_set():
            print("left; the run ends by itself", file=sys.stderr)
            raise KeyboardInterrupt
        asked.set()
        print("\ncancelling: the run writes its checkpoint (Ctrl-C again to leave)", file=sys.stderr)
        threading.Thread(target=attempt, name="cancel", daemon=True).start()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
