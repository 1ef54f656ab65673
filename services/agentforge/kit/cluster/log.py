"""The run's log, as the one who launches Jobs reads and writes it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from agentforge.kit.diagnosis import ATTEMPT_LINE, INTERRUPTED
from agentforge.kit.events import EventReader
from agentforge.kit.rundir import RunDirectory
from agentforge.kit.state import FINAL, QUEUED


@dataclass(slots=True)
class LastWords:
    """What the log says of the states after a sequence: those of one launch."""

    final: bool = False
    interrupted: bool = False
    last_sequence: int = 0
    attempt: int = 0


def last_words(run: RunDirectory, after: int = 0) -> LastWords:
    words, reader = LastWords(), EventReader(run.log_path)
    while records := reader.poll():
        for record in records:
            words.last_sequence, words.attempt = record["sequence"], max(words.attempt, record["attempt"])
            change = record.get("state_changed")
            if change is not None and record["sequence"] > after:
                words.final = change["state"] in FINAL
                words.interrupted = change["state"] == QUEUED and change.get("reason") == INTERRUPTED
    return words


def say(run: RunDirectory, text: str, *, locked: bool = False) -> bool:
    """A line for whoever watches the run, while nobody works on it. `locked`: the caller has the LOCK."""
    lock = None if locked else run.try_lock()
    if lock is None and not locked:
        return False  # a worker has begun, and says more than we could
    try:
        attempt = last_words(run).attempt
        with run.open_log() as log:
            log.append("log", {"level": "LEVEL_INFO", "message": text}, attempt)
    finally:
        if lock is not None:
            os.close(lock)
    return True


def keep_tail(run: RunDirectory, name: str, tail: str) -> None:
    """A pod's last lines, where those of local workers are."""
    if tail:
        with run.worker_log_path.open("a") as file:
            file.write(f"{ATTEMPT_LINE} in Job {name}; the last lines of its container:\n{tail}\n")
