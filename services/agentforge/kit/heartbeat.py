"""A worker's sign of life: a counter that rises each second, beside the worker's identity."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from agentforge.kit.errors import ForgeError
from agentforge.kit.files import disk_errors, write_atomic
from agentforge.kit.processes import ProcessIdentity, rss_bytes

BEAT_EVERY_S = 1.0
TICK_EVERY_S = 0.1
_SIZE = 512  # bytes; constant, so that a beat overwrites in place and needs no space on a full disk


@dataclass(frozen=True, slots=True)
class Beat:
    """`beat` counts, it is no time: a clock that jumps makes nobody look dead."""

    beat: int
    worker: ProcessIdentity
    rss_bytes: int


def read_heartbeat(path: Path) -> Beat | None:
    """The last beat; None when there was none yet, or one is being written over at this instant."""
    try:
        values = json.loads(path.read_bytes())
        return Beat(values.pop("beat"), rss_bytes=values.pop("rss_bytes"), worker=ProcessIdentity(**values))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


class Heartbeat:
    """The thread that beats each second and calls `tick` ten times as often. The first beat is there on entry."""

    def __init__(self, path: Path, tick: Callable[[], None]) -> None:
        self._path = path
        self._tick = tick
        self._identity = ProcessIdentity.of(os.getpid())
        self._count = 0
        self._file = -1
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._live, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        write_atomic(self._path, self._beat())
        with disk_errors(self._path):
            self._file = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        os.close(self._file)

    def _live(self) -> None:
        beaten = time.monotonic()
        while not self._over.wait(TICK_EVERY_S):
            try:
                self._tick()
                if time.monotonic() - beaten >= BEAT_EVERY_S:
                    beaten = time.monotonic()
                    os.pwrite(self._file, self._beat(), 0)
            except (ForgeError, OSError) as error:  # the phase's thread meets the same trouble, and ends for it
                with contextlib.suppress(OSError):
                    sys.stderr.write(f"heartbeat: {error}\n")

    def _beat(self) -> bytes:
        self._count += 1
        values = {"beat": self._count, **asdict(self._identity), "rss_bytes": rss_bytes(self._identity.pid)}
        return json.dumps(values).encode().ljust(_SIZE - 1) + b"\n"
