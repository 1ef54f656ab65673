"""The event log: torn ends, readers beside the writer, many events, full disks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from agentforge.kit import state
from agentforge.kit.errors import DataLoss, DiskFull, FailedPrecondition, InvalidInput
from agentforge.kit.events import BALLAST, Entry, EventLog, EventReader, read_events, to_proto
from agentforge.kit.records import Record
from agentforge.kit.rundir import write_ballast
from tests.unit.kit.disks import remount_read_only

RUNNING = {"state": state.RUNNING, "reason": ""}


def log_payload(text: str = "hello") -> dict[str, str]:
    return {"level": "LEVEL_INFO", "message": text}


def append_for_ever(log: EventLog) -> None:
    while True:
        log.append("log", log_payload("x" * 500), 1)


def everything(path: Path, after: int = 0) -> list[Record]:
    return read_events(path, after)[0]


def test_a_line_is_the_record(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(path, "count") as log:
        first = log.append("state_changed", RUNNING, 1)
        second = log.append("progress", {"done": 1, "total": 2, "unit": "steps", "message": ""}, 1)
        assert log.last_sequence == 2
    assert [json.loads(line) for line in path.read_bytes().splitlines()] == [first, second]
    assert list(first) == ["sequence", "time", "attempt", "phase", "state_changed"]
    assert first["time"].endswith("Z")
    assert to_proto(second).progress.total == 2
    with EventLog(path, "count") as log:
        assert log.append("log", log_payload(), 2)["sequence"] == 3


def test_a_torn_last_line_is_cut_off_at_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(path, "p") as log:
        for text in ("one", "zwei ü", "three\nlines\u2028here"):
            log.append("log", log_payload(text), 1)
    whole = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == 10]
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        complete = sum(end <= length for end in ends)
        assert len(everything(path)) == complete  # a reader does not see the torn line, nor repair it
        assert path.stat().st_size == length
        with EventLog(path, "p") as log:
            assert log.last_sequence == complete
            log.append("log", log_payload("after"), 2)
        assert [r["sequence"] for r in everything(path)] == list(range(1, complete + 2))
        assert everything(path)[-1]["log"]["message"] == "after"


def test_garbage_after_a_power_failure_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(path, "p") as log:
        log.append("log", log_payload(), 1)
    with path.open("ab") as file:
        file.write(bytes(3_000_000))  # longer than one chunk of the reader
    assert len(everything(path)) == 1
    with EventLog(path, "p") as log:
        assert log.append("log", log_payload(), 1)["sequence"] == 2
    assert len(everything(path)) == 2


def test_a_writer_killed_at_random_instants_loses_no_complete_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    code = (
        "import sys, pathlib; from agentforge.kit.events import EventLog\n"
        "log = EventLog(pathlib.Path(sys.argv[1]), 'p')\n"
        "while True:\n"
        "    r = log.append('log', {'level': 'LEVEL_INFO', 'message': 'x' * 3000}, 1)\n"
        "    print(r['sequence'], flush=True)\n"
    )
    said = 0
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            assert int(writer.stdout.readline()) >= said + 1
            time.sleep(0.05)
            os.kill(writer.pid, signal.SIGKILL)
            rest = writer.stdout.read().splitlines()
        said = max(said + 1, *(int(line) for line in rest[:-1]), 0)
        sequences = [r["sequence"] for r in everything(path)]
        assert sequences == list(range(1, len(sequences) + 1))
        assert len(sequences) >= said


def test_readers_beside_a_writer_see_each_event_once(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    count = 5_000
    seen: list[list[int]] = [[], [], []]

    def read(mine: list[int], after: int) -> None:
        reader = EventReader(path, after)
        deadline = time.monotonic() + 60
        while (not mine or mine[-1] < count) and time.monotonic() < deadline:
            mine += [r["sequence"] for r in reader.poll()]

    threads = [threading.Thread(target=read, args=(mine, i * 100)) for i, mine in enumerate(seen)]
    for thread in threads:
        thread.start()
    with EventLog(path, "p") as log:
        for i in range(count):
            log.append("log", log_payload("x" * (i % 300)), 1)
    for thread in threads:
        thread.join()
    for i, mine in enumerate(seen):
        assert mine == list(range(i * 100 + 1, count + 1))


def test_threads_of_a_worker_may_share_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(path, "p") as log:
        threads = [
            threading.Thread(target=lambda: [log.append("log", log_payload(), 1) for _ in range(300)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(everything(path)) == 1200


def test_a_hundred_thousand_events(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    count = 100_000
    start = time.monotonic()
    with EventLog(path, "p") as log:
        for i in range(count):
            log.append("progress", {"done": i, "total": count, "unit": "steps", "message": ""}, 1)
    written = time.monotonic() - start
    assert len(everything(path)) == count
    read = time.monotonic() - start - written
    assert [r["sequence"] for r in everything(path, count - 2)] == [count - 1, count]
    tail = time.monotonic() - start - written - read
    assert EventLog(path, "p").last_sequence == count
    print(f"{count:,} events: written in {written:.2f} s, read in {read:.2f} s, the last two in {tail:.3f} s")
    # Wide margins: what must not happen is an fsync or a scan of the whole file per event.
    assert written < 30
    assert read < 15
    assert tail < 5


def test_reading_goes_on_from_an_offset(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    assert read_events(path) == ([], 0)
    with EventLog(path, "p") as log:
        log.append("log", log_payload("a"), 1)
        first, offset = read_events(path)
        log.append("log", log_payload("b"), 1)
        second, _ = read_events(path, first[-1]["sequence"], offset)
        assert [r["log"]["message"] for r in second] == ["b"]
        reader = EventReader(path, after_sequence=5)  # ahead of what is written
        assert reader.poll() == []
        log.append_batch([Entry("log", log_payload(str(i)), 1) for i in range(3, 8)])
        assert [r["sequence"] for r in reader.poll()] == [6, 7]


def test_copies_keep_what_they_were(tmp_path: Path) -> None:
    with EventLog(tmp_path / "a.jsonl", "count") as source, EventLog(tmp_path / "b.jsonl", "") as target:
        source.append("log", log_payload("not copied"), 1)
        record = source.append("log", log_payload("copied"), 3)
        target.append("state_changed", RUNNING, 1)
        [copy] = target.copy([record])
    assert copy == {**record, "sequence": 2, "source_sequence": 2}
    assert everything(tmp_path / "b.jsonl")[1] == copy


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("sample", {"name": "x", "data": {"a": float("nan")}}),
        ("sample", {"name": "x", "data": {"a": object()}}),
        ("progress", {"done": -1, "total": 0, "unit": "", "message": ""}),
        ("progress", {"dnoe": 1}),
        ("state_changed", {"state": "RUNNING", "reason": ""}),
        ("measurement", {"name": "x", "value": "high"}),
        ("log", {"level": "LEVEL_INFO", "message": "x" * (2 << 20)}),
    ],
)
def test_what_nobody_could_read_is_not_written(tmp_path: Path, name: str, payload: dict[str, object]) -> None:
    with EventLog(tmp_path / "events.jsonl", "p") as log:
        with pytest.raises(InvalidInput) as caught:
            log.append(name, payload, 1)
        assert caught.value.field == name
        assert log.append("log", log_payload(), 1)["sequence"] == 1
    assert len(everything(tmp_path / "events.jsonl")) == 1


def test_half_a_character_becomes_a_question_mark(tmp_path: Path) -> None:
    with EventLog(tmp_path / "events.jsonl", "p") as log:
        record = log.append("log", log_payload("file \udcff.txt"), 1)
    assert record["log"]["message"] == "file ?.txt"
    assert everything(tmp_path / "events.jsonl") == [record]


@pytest.mark.parametrize("damage", [b"{}", b"[1]", b"not json", b'{"sequence":7}', b"\xff", b""])
def test_a_changed_line_is_named(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(path, "p") as log:
        for _ in range(3):
            log.append("log", log_payload(), 1)
    lines = path.read_bytes().splitlines()
    lines[1] = damage
    path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(DataLoss, match="line 2 of") as caught:
        everything(path)
    assert caught.value.reason == "EVENT_LOG_DAMAGED"


def test_a_full_disk_leaves_whole_lines_and_room_for_the_last_words(small_disk: Path) -> None:
    path = small_disk / "events.jsonl"
    write_ballast(small_disk)
    with EventLog(path, "p") as log:
        with pytest.raises(DiskFull) as caught:
            append_for_ever(log)
        written = log.last_sequence
        assert str(path) in caught.value.message
        assert (small_disk / BALLAST).exists()  # logs do not get it
        assert len(everything(path)) == written > 0
        failed = {"state": state.FAILED, "reason": "disk full " + "x" * 8000}
        record = log.append("state_changed", failed, 1)
        assert not (small_disk / BALLAST).exists()
    assert everything(path)[-1] == record
    assert record["sequence"] == written + 1
    assert [r["sequence"] for r in everything(path)] == list(range(1, written + 2))


def test_a_batch_on_a_full_disk_keeps_the_lines_that_are_whole(small_disk: Path) -> None:
    path = small_disk / "events.jsonl"
    with EventLog(path, "p") as log:
        with pytest.raises(DiskFull):
            log.append_batch([Entry("log", log_payload("x" * 1000), 1)] * 1000)
        kept = log.last_sequence
        assert 0 < kept < 1000
        assert len(everything(path)) == kept
        with pytest.raises(DiskFull):  # no ballast: a state is refused too, loudly
            log.append("state_changed", {"state": state.FAILED, "reason": "x" * 100_000}, 1)
    with EventLog(path, "p") as log:
        assert log.last_sequence == kept


def test_a_read_only_volume(small_disk: Path) -> None:
    with EventLog(small_disk / "events.jsonl", "p") as log:
        log.append("log", log_payload(), 1)
    remount_read_only(small_disk)
    assert len(everything(small_disk / "events.jsonl")) == 1
    with pytest.raises(FailedPrecondition) as caught:
        EventLog(small_disk / "events.jsonl", "p")
    assert caught.value.reason == "READ_ONLY_VOLUME"


def test_what_must_last_is_synced_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fsync
    with EventLog(tmp_path / "events.jsonl", "p") as log:

        def fsync(descriptor: int) -> None:
            synced.append(descriptor)
            real(descriptor)

        monkeypatch.setattr(os, "fsync", fsync)
        number = {"name": "a/b", "value": 1.0, "unit": "1", "method": "counted", "n": 1}
        artifact = {"name": "a", "kind": "k", "path": "p", "sha256": "s", "size_bytes": 1}
        steps: list[tuple[int, str, dict[str, Any]]] = [
            (0, "log", log_payload()),
            (1, "state_changed", RUNNING),
            (1, "measurement", {**number, "step": 3}),
            (2, "measurement", number),
            (3, "artifact_produced", {"artifact": artifact}),
        ]
        for expected, name, payload in steps:
            log.append(name, payload, 1)
            assert len(synced) == expected, name
        log.append("log", log_payload(), 1)
        log.flush()
        log.flush()
        assert len(synced) == 4
