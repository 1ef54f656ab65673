"""Garbage is collected between ticks, while nobody waits: never in the middle of one."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

OLD = 20
"""Ticks between looks at all that came since the drive began; each tick's own garbage goes after it."""


class Idle:
    def __init__(self) -> None:
        self._ticks = 0

    def rest(self) -> None:
        """Call it after each tick."""
        self._ticks += 1
        gc.collect(2 if self._ticks % OLD == 0 else 0)


@contextmanager
def collected_between_ticks() -> Iterator[Idle]:
    """What was there before is not looked at again: most of it stays for ever."""
    was_on = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield Idle()
    finally:
        gc.unfreeze()
        if was_on:
            gc.enable()
