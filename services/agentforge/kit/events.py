"""The event log: append-only lines of JSON; line number = sequence. Its one writer holds the run's LOCK."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from agentforge.kit import clock
from agentforge.kit.errors import InvalidInput
from agentforge.kit.files import disk_errors, fsync_directory
from agentforge.kit.reading import EventReader, last_position, read_events
from agentforge.kit.records import LOGGED, Record, check_payload, from_proto, payload_of, to_proto

__all__ = [
    "BALLAST",
    "Entry",
    "EventLog",
    "EventReader",
    "Record",
    "from_proto",
    "payload_of",
    "read_events",
    "to_proto",
]

BALLAST = "ballast"
"""A file beside the log that only takes up space. On a full disk it gives way to the last words of a run."""

MAX_EVENT_BYTES = 1 << 20  # it must fit into a gRPC message with room to spare
_SYNC_EVERY = 1.0  # seconds; a power failure loses at most this much progress and log, never a state or a result


class Entry(NamedTuple):
    """Something to append. `source` is the record of a phase's own log that it is a copy of."""

    name: str
    payload: Mapping[str, Any]
    attempt: int
    source: Mapping[str, Any] | None = None


class EventLog:
    """The writer. Making one opens the file and cuts off a last line that a killed writer left unfinished."""

    def __init__(self, path: Path, phase: str) -> None:
        self.path = path
        self.phase = phase
        self._lock = threading.Lock()
        with disk_errors(path):
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                self.last_sequence, self._size = last_position(path)
                if self._size < os.fstat(self._file).st_size:
                    os.ftruncate(self._file, self._size)
                if not self._size:
                    fsync_directory(path.parent)
            except BaseException:
                os.close(self._file)
                raise
        self._synced = time.monotonic()
        self._dirty = False

    def append(
        self, name: str, payload: Mapping[str, Any], attempt: int, *, source: Mapping[str, Any] | None = None
    ) -> Record:
        """Write one event and return it as it stands in the log."""
        return self.append_batch([Entry(name, payload, attempt, source)])[0]

    def copy(self, records: Sequence[Record]) -> list[Record]:
        """Append events of a phase's own log, which keep their time, phase and attempt."""
        return self.append_batch([Entry(*payload_of(r), r["attempt"], r) for r in records])

    def append_batch(self, entries: Iterable[Entry]) -> list[Record]:
        """Write several events at once. When the disk fills up between them, the first ones stay written."""
        with self._lock, disk_errors(self.path):
            written = [self._line(i, entry) for i, entry in enumerate(entries, self.last_sequence + 1)]
            last_words = any(name == "state_changed" for _, _, name in written)
            self._write(b"".join(line for line, _, _ in written), last_words=last_words)
            self._sync(at_once=any(_is_result(record) for _, record, _ in written))
        return [record for _, record, _ in written]

    def flush(self) -> None:
        """Make all that was appended durable."""
        with self._lock, disk_errors(self.path):
            self._sync(at_once=True)

    def close(self) -> None:
        with self._lock, disk_errors(self.path):
            if self._file < 0:
                return
            try:
                self._sync(at_once=True)
            finally:
                os.close(self._file)
                self._file = -1  # a thread that still appends gets an error, not another file's descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _line(self, sequence: int, entry: Entry) -> tuple[bytes, Record, str]:
        name, payload, attempt, source = entry
        if name not in LOGGED:
            raise ValueError(f"{name!r} does not belong into a log")
        record: Record = {"sequence": sequence, "time": clock.now(), "attempt": attempt, "phase": self.phase}
        if source is not None:
            record.update(time=source["time"], phase=source["phase"], source_sequence=source["sequence"])
        record[name] = dict(payload)
        line, record = _serialised(record, name)
        if source is None:
            check_payload(name, record[name])  # whoever reads it must be able to send it on
        return line, record, name

    def _write(self, data: bytes, *, last_words: bool) -> None:
        done = 0
        try:
            while done < len(data):
                try:
                    done += os.write(self._file, data[done:] if done else data)
                except OSError as error:
                    if not (error.errno in (errno.ENOSPC, errno.EDQUOT) and last_words and self._drop_ballast()):
                        raise
        except BaseException:
            # Lines that are whole may have been read already: they stay. The torn one goes.
            done = data.rfind(b"\n", 0, done) + 1
            os.ftruncate(self._file, self._size + done)
            raise
        finally:
            self._dirty = True
            self._size += done
            self.last_sequence += data.count(b"\n", 0, done)

    def _drop_ballast(self) -> bool:
        try:
            (self.path.parent / BALLAST).unlink()
        except FileNotFoundError:
            return False
        return True

    def _sync(self, *, at_once: bool) -> None:
        now = time.monotonic()
        if not self._dirty or (not at_once and now - self._synced < _SYNC_EVERY):
            return
        os.fsync(self._file)
        self._synced = now
        self._dirty = False


def _serialised(record: Record, name: str) -> tuple[bytes, Record]:
    try:
        text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"event {name} cannot be written: {error}", reason="INVALID_EVENT", field=name) from None
    try:
        line = text.encode() + b"\n"
    except UnicodeEncodeError:  # half a character, as in a file name that is not UTF-8
        line = text.encode(errors="replace") + b"\n"
        record = json.loads(line)
    if len(line) > MAX_EVENT_BYTES:
        message = f"event {name} has {len(line):,} bytes; at most {MAX_EVENT_BYTES:,} are taken"
        next_step = "Write large data to an output and name it."
        raise InvalidInput(message, reason="EVENT_TOO_LARGE", field=name, next_step=next_step)
    return line, record


def _is_result(record: Record) -> bool:
    """What must survive a power failure: states, artifacts, and measurements of the whole run."""
    if "state_changed" in record or "artifact_produced" in record:
        return True
    return "measurement" in record and record["measurement"].get("step") is None
