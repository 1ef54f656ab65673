"""Memory is promised before it is taken: a ledger in a file, for all processes and threads that name it."""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agentforge.kit.files import disk_errors
from agentforge.kit.processes import ProcessIdentity

Entry = dict[str, Any]
"""{"pid", "start_ticks", "token", "bytes", "granted"}, in the order of asking."""


class MemoryGovernor:
    """First come, first served, so that a large request is not starved by small ones. Who is dead has nothing."""

    def __init__(self, ledger: Path, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._ledger = ledger
        with disk_errors(ledger):
            ledger.parent.mkdir(parents=True, exist_ok=True)
            ledger.touch()

    def ask(self, token: str, wanted_bytes: int) -> bool:
        """Whether it is granted. If not, the place in the queue is kept: ask again, or give it up by `release`."""

        def place(entries: list[Entry]) -> bool:
            own = next((each for each in entries if each["token"] == token), None)
            if own is None:
                own = {**_own_identity(), "token": token, "bytes": wanted_bytes, "granted": False}
                entries.append(own)
            earlier = entries[: entries.index(own)]
            taken = sum(each["bytes"] for each in entries if each["granted"] and each is not own)
            fits = all(each["granted"] for each in earlier) and taken + own["bytes"] <= self.limit_bytes
            own["granted"] = own["granted"] or fits
            return bool(own["granted"])

        return self._with_entries(place)

    def release(self, token: str) -> None:
        def leave(entries: list[Entry]) -> bool:
            entries[:] = [each for each in entries if each["token"] != token]
            return True

        self._with_entries(leave)

    def _with_entries(self, change: Callable[[list[Entry]], bool]) -> bool:
        """One small write, padded to what was there before: a kill leaves the old entries or the new ones."""
        with disk_errors(self._ledger), self._ledger.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            before = file.read()
            entries = [each for each in json.loads(before or b"[]") if _lives(each)]
            answer = change(entries)
            after = json.dumps(entries).encode()
            if after != before:
                os.pwrite(file.fileno(), after.ljust(len(before)), 0)
                os.ftruncate(file.fileno(), len(after))
        return answer


def token() -> str:
    return uuid.uuid4().hex


def _own_identity() -> Entry:
    own = ProcessIdentity.of(os.getpid())
    return {"pid": own.pid, "start_ticks": own.start_ticks, "boot_id": own.boot_id}


def _lives(entry: Entry) -> bool:
    try:
        found = ProcessIdentity.of(entry["pid"])
    except ProcessLookupError:
        return False
    return found.start_ticks == entry["start_ticks"] and found.boot_id == entry["boot_id"] and found.is_alive
