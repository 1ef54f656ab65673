"""Truncated, corrupt and foreign files: refused in words, never half believed."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.writer import Writer

from agentforge.kit.errors import DataLoss, ForgeError, InvalidInput, NotFound
from agentforge.phase7_adas.drive.readings import CameraReading
from agentforge.phase7_adas.drive.recording.channels import ENCODING
from agentforge.phase7_adas.drive.recording.replay import Replay
from tests.unit.adas_drive.recording.test_round_trip import record, same
from tests.unit.adas_drive.recording.things import a_run

Image = np.arange(12, dtype=np.uint8).reshape(3, 4)


def message(header: dict[str, Any], body: bytes = b"") -> bytes:
    words = json.dumps(header).encode()
    return struct.pack("<I", len(words)) + words + body


def camera_header(**changed: Any) -> dict[str, Any]:
    array = {"name": "image_HW", "dtype": "|u1", "shape": [3, 4]}
    return {"sequence": 0, "taken_us": 0, "arrived_us": 1000, "arrays": [array], **changed}


def foreign(path: Path, *messages: tuple[str, int, bytes], encoding: str = ENCODING) -> Path:
    """A log that somebody converted by the words of channels.py, without our Recorder."""
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start()
        for topic, log_time, data in messages:
            schema = writer.register_schema(topic, "jsonschema", b"{}")
            channel = writer.register_channel(topic, encoding, schema)
            writer.add_message(channel, log_time=log_time, data=data, publish_time=log_time)
        writer.finish()  # type: ignore[no-untyped-call]
    return path


def test_a_converted_log_without_metadata_is_replayed(tmp_path: Path) -> None:
    path = foreign(
        tmp_path / "log.mcap",
        ("/sensors/camera", 1_000_000, message(camera_header(), Image.tobytes())),
        ("/tf", 1_500_000, b"whatever"),
    )
    replay = Replay(path)
    (reading,) = replay.readings()
    assert isinstance(reading, CameraReading)
    assert same(reading.image_HW, Image)
    assert replay.passed_over == {"/tf": 1}
    assert replay.scenario == ""


@pytest.mark.parametrize("size", [0, 5, 8, 9, 300, -1, -8, -40, -2000])
def test_a_truncated_file_is_refused(tmp_path: Path, size: int) -> None:
    whole = record(tmp_path / "run.mcap", a_run()).read_bytes()
    path = tmp_path / "short.mcap"
    path.write_bytes(whole[:size])
    kind = InvalidInput if 0 <= size < 8 else DataLoss
    with pytest.raises(kind, match=str(path)):
        list(Replay(path).things())


def test_what_was_before_the_cut_is_given_before_the_error(tmp_path: Path) -> None:
    whole = record(tmp_path / "run.mcap", a_run()).read_bytes()
    path = tmp_path / "short.mcap"
    path.write_bytes(whole[:-60])
    things = Replay(path).things()
    assert len([next(things) for _ in range(12 * 7)]) == 12 * 7
    with pytest.raises(DataLoss, match="cut off"):
        next(things)


def test_no_flipped_byte_is_believed(tmp_path: Path) -> None:
    """Wherever a byte is wrong, either it is refused or what comes back is what was written."""
    things = a_run(4)
    whole = record(tmp_path / "run.mcap", things).read_bytes()
    path = tmp_path / "flipped.mcap"
    refused = believed = 0
    places = np.random.default_rng(1).choice(len(whole), 250, replace=False)
    for place in sorted(int(place) for place in places):
        wrong = bytearray(whole)
        wrong[place] ^= 0x41
        path.write_bytes(wrong)
        try:
            back = list(Replay(path).things())
        except ForgeError as error:
            refused += str(path) in error.message and bool(error.next_step)
            continue
        assert len(back) == len(things), place
        assert all(same(one, other) for one, other in zip(things, back, strict=True)), place
        believed += 1
    assert refused + believed == 250
    assert refused > 150


@pytest.mark.parametrize("words", [b"", b"not a recording at all, only words", b"\x89PNG\r\n\x1a\n" + bytes(100)])
def test_another_kind_of_file_is_refused(tmp_path: Path, words: bytes) -> None:
    path = tmp_path / "other.mcap"
    path.write_bytes(words)
    with pytest.raises(InvalidInput, match="no MCAP file") as refused:
        list(Replay(path).readings())
    assert refused.value.reason == "RECORDING_NOT_OURS"


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.mcap", tmp_path):
        with pytest.raises(NotFound, match="there is no recording"):
            Replay(path)


def test_a_log_with_no_topic_of_ours_names_its_topics(tmp_path: Path) -> None:
    path = foreign(tmp_path / "log.mcap", ("/tf", 1, b""), ("/imu/raw", 2, b""))
    with pytest.raises(InvalidInput, match="its topics: /imu/raw, /tf"):
        list(Replay(path).readings())


def test_another_encoding_is_named(tmp_path: Path) -> None:
    path = foreign(tmp_path / "log.mcap", ("/sensors/camera", 1, b"\x00"), encoding="cdr")
    with pytest.raises(InvalidInput, match=r"/sensors/camera at 1 ns is encoded as 'cdr'"):
        list(Replay(path).readings())


def test_time_that_goes_back_is_refused(tmp_path: Path) -> None:
    late = message(camera_header(arrived_us=900_000), Image.tobytes())
    early = message(camera_header(), Image.tobytes())
    path = foreign(
        tmp_path / "log.mcap", ("/sensors/camera", 900_000_000, late), ("/sensors/camera", 1_000_000, early)
    )
    with pytest.raises(InvalidInput, match="not in order") as refused:
        list(Replay(path).readings())
    assert "sort" in refused.value.next_step


LETTER = {"name": "image_HW", "dtype": "<U1", "shape": [1]}
WRONG: list[tuple[str, Callable[[], bytes]]] = [
    ("less than a length", lambda: b"\x01"),
    ("a header of 4294967295 bytes", lambda: b"\xff\xff\xff\xff{}"),
    ("no JSON", lambda: struct.pack("<I", 2) + b"\xff\xfe"),
    ("no JSON", lambda: struct.pack("<I", 99_999) + b"[" * 99_999),
    ("no JSON object", lambda: struct.pack("<I", 2) + b"[]"),
    ("no list `arrays`", lambda: message({"sequence": 0})),
    ("taken_us, image_HW missing", lambda: message({"sequence": 0, "arrived_us": 1000, "arrays": []})),
    ("image_HW missing", lambda: message(camera_header(arrays=[]))),
    ("which is no integer", lambda: message(camera_header(sequence=True), Image.tobytes())),
    ("which is no integer", lambda: message(camera_header(taken_us=1.5), Image.tobytes())),
    ("needs 12 bytes, and 11 are left", lambda: message(camera_header(), bytes(11))),
    ("1 bytes too many", lambda: message(camera_header(), bytes(13))),
    ("no text", lambda: message(camera_header(arrays=[LETTER]), b"\xff\xff\xff\x7f")),
    ("another time", lambda: message(camera_header(arrived_us=7), Image.tobytes())),
]
SHAPES: list[Any] = [[-3, -4], [2**40], ["3"], 12, [1] * 9, [True, 12], [[3], 4]]


@pytest.mark.parametrize(("says", "data"), WRONG)
def test_a_wrong_message_is_told_with_its_place(tmp_path: Path, says: str, data: Callable[[], bytes]) -> None:
    path = foreign(tmp_path / "log.mcap", ("/sensors/camera", 1_000_000, data()))
    with pytest.raises(InvalidInput, match=says) as refused:
        list(Replay(path).readings())
    assert "of /sensors/camera at 1000000 ns" in refused.value.message


@pytest.mark.parametrize("array", [*({"shape": shape} for shape in SHAPES), {"dtype": "|O"}, {"name": 3}])
def test_arrays_that_cannot_be_are_refused(tmp_path: Path, array: dict[str, Any]) -> None:
    header = camera_header(arrays=[{"name": "image_HW", "dtype": "|u1", "shape": [3, 4], **array}])
    path = foreign(tmp_path / "log.mcap", ("/sensors/camera", 1_000_000, message(header, Image.tobytes())))
    with pytest.raises(InvalidInput, match="array"):
        list(Replay(path).readings())
