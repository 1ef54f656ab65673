"""Signs of life between machines: a cut cable breaks no connection, and a rank would wait for half an hour.

The first rank of each machine counts in the store where all met; the leader watches these counts, all others watch
the leader's. Reading the store can itself hang on a dead cable, so who judges is never who reads.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

from agentforge.kit.diagnosis import EXIT_RANK_LOST
from agentforge.kit.ranks import Ranks

SILENCE_VARIABLE = "AGENTFORGE_SILENCE_S"
"""Environment: seconds without a sign of life after which a machine is lost."""
_SILENCE_S = 120.0
_GONE = -(1 << 40)  # added to a count by who leaves in peace


def silence_s() -> float:
    return float(os.environ.get(SILENCE_VARIABLE) or _SILENCE_S)


class Beats:
    """`store`: a connection of its own, since one that waits for something keeps all others of it waiting."""

    def __init__(self, store: Any, own: Ranks) -> None:
        self._store, self._own, self._silence_s = store, own, silence_s()
        firsts = range(own.local_world, own.world, own.local_world)
        self._watched = tuple(firsts) if own.leads else (0,)
        self._counts: dict[int, tuple[int, float]] = {}  # of each watched rank that has begun: the latest, and when
        self._answered_at = time.monotonic()
        self._broken = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._exchange, name="beats", daemon=True)
        self._thread.start()

    def lost(self) -> str | None:
        """Which machine is silent, in words; None while all are heard."""
        if self._broken:
            return self._broken
        now = time.monotonic()
        if now - self._answered_at > self._silence_s:
            return f"the machine of rank 0 has not answered for {self._silence_s:g} s"
        for rank, (count, since) in sorted(self._counts.items()):
            if count > 0 and now - since > self._silence_s:
                return f"the machine of rank {rank} has said nothing for {self._silence_s:g} s"
        return None

    def expect(self) -> None:
        """All are here: from now on they are missed, also who was cut off before its first sign."""
        now = time.monotonic()
        for rank in self._watched:
            self._counts.setdefault(rank, (1, now))

    def end_with(self) -> None:
        """For followers: this process ends when the leader's machine is lost."""
        threading.Thread(target=self._end_when_lost, name="beats' judge", daemon=True).start()

    def until_leader_leaves(self) -> bool:
        """Whether it left in peace. For who could still be needed: it may be lost on its last way."""
        while not self._over.wait(0.1):
            if self._counts.get(0, (0, 0.0))[0] < 0:
                return True
            if self.lost() is not None:
                return False
        return True

    def leave(self, wait_s: float = 0.0) -> None:
        """In peace: nobody shall miss us. Nobody may be there to hear it. `wait_s`: for others to go first."""
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline and any(count > 0 for count, _ in self._counts.values()):
            time.sleep(0.05)
        self._over.set()
        self._thread.join(2.0)
        if not self._thread.is_alive() and not self._broken and self._own.local_rank == 0:
            try:
                self._store.add(_key(self._own.rank), _GONE)
            except RuntimeError as error:
                self._broken = _gone(error)

    def _exchange(self) -> None:
        while True:
            try:
                if self._own.local_rank == 0:
                    self._store.add(_key(self._own.rank), 1)
                for rank in self._watched:
                    self._hear(rank, int(self._store.add(_key(rank), 0)))
            except RuntimeError as error:
                self._broken = _gone(error)
                return
            self._answered_at = time.monotonic()
            if self._over.wait(min(1.0, self._silence_s / 10)):
                return

    def _hear(self, rank: int, count: int) -> None:
        if count and count != self._counts.get(rank, (0, 0.0))[0]:
            self._counts[rank] = (count, time.monotonic())

    def _end_when_lost(self) -> None:
        while not self._over.wait(0.2):
            if (lost := self.lost()) is not None:
                sys.stderr.write(f"rank {self._own.rank} of {self._own.world} ends: {lost}\n")
                sys.stderr.flush()
                os._exit(EXIT_RANK_LOST)


def _key(rank: int) -> str:
    return f"beat/{rank}"


def _gone(error: RuntimeError) -> str:
    return f"the meeting place of the ranks is gone: {' '.join(str(error).split())[:200]}"
