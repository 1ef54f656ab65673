"""How many runs of a phase are in which state, without reading a thousand logs each time somebody asks."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from agentforge.kit.errors import ForgeError
from agentforge.kit.rundir import RunDirectory, list_runs
from agentforge.kit.serve.chunks import last_state, read_chunk
from agentforge.kit.state import FINAL, QUEUED

WHOLE_S = 300.0  # from one look at all runs to the next: it finds what others on the volume did
_BLOCK_BYTES = 64 << 10
_log = logging.getLogger("agentforge.serve")


class RunCensus:
    """A final run is read once. Asking reads what is new in the logs of runs that are not final.

    All runs of the volume are looked at in a thread, at the start and every few minutes: one stat for each of them.
    """

    def __init__(self, home: Path, phase: str, whole_s: float = WHOLE_S) -> None:
        self._home = home
        self._phase = phase
        self._whole_s = whole_s
        self._known: dict[Path, tuple[int, str]] = {}  # log to the byte up to which it was read, and its state
        self._touched: set[Path] = set()
        self._lock = threading.Lock()
        self._whole_at: float | None = None  # when all runs had been looked at
        self._looking: threading.Thread | None = None
        self._look_at_all()

    def touch(self, run: RunDirectory) -> None:
        """The service takes the run up: read it at the next question, though it was final."""
        self._touched.add(run.log_path)

    def counts(self) -> Mapping[str, int] | None:
        """State to number of runs; None until all runs have been looked at once."""
        with self._lock:
            if self._whole_at is None or time.monotonic() - self._whole_at > self._whole_s:
                self._look_at_all()
            if self._whole_at is None:
                return None
            touched, self._touched = self._touched, set()
            self._read([log for log, (_, state) in list(self._known.items()) if state not in FINAL])
            self._read(touched)
            return Counter(state for _, state in list(self._known.values()))

    def _look_at_all(self) -> None:
        if self._looking is None or not self._looking.is_alive():
            self._looking = threading.Thread(target=self._all, name=f"census of {self._phase}", daemon=True)
            self._looking.start()

    def _all(self) -> None:
        try:
            logs = [run.log_path for run in list_runs(self._home, self._phase)]
        except OSError:
            _log.exception("the runs of phase %s could not be counted", self._phase)
            return
        self._read(logs)
        with self._lock:
            for log in set(self._known) - set(logs):
                if not log.exists():
                    del self._known[log]
            self._whole_at = time.monotonic()

    def _read(self, logs: Iterable[Path]) -> None:
        for log in logs:
            try:
                self._known[log] = _brought_up_to_date(log, self._known.get(log))
            except FileNotFoundError:
                self._known.pop(log, None)
            except (OSError, ForgeError) as error:  # damage is told to whoever asks for that run
                self._known.pop(log, None)
                _log.warning("a run is left out of the count: %s", error)


def _brought_up_to_date(log: Path, known: tuple[int, str] | None) -> tuple[int, str]:
    size = log.stat().st_size
    if known is None or known[0] > size:
        end = _end_of_lines(log, size)
        return end, last_state(log, end) or QUEUED
    end, state = known
    while end < size and (chunk := read_chunk(log, end, 0)) is not None:
        end, state = chunk.end, chunk.last_state() or state
    return end, state


def _end_of_lines(log: Path, size: int) -> int:
    """The byte behind the last whole line: one may be half written."""
    with log.open("rb") as file:
        end = size
        while end > 0:
            start = max(0, end - _BLOCK_BYTES)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
    return 0
