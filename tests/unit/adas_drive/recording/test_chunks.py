"""Chunks made to fill the memory, and the compressions that real logs use."""

from __future__ import annotations

import tracemalloc
import zlib
from pathlib import Path

import lz4.frame  # type: ignore[import-untyped]
import numpy as np
import pytest
import zstandard
from mcap.records import Chunk
from mcap.writer import CompressionType, Writer

from agentforge.phase7_adas.drive.recording.channels import ENCODING
from agentforge.phase7_adas.drive.recording.chunks import LARGEST, BadChunk, records_of
from agentforge.phase7_adas.drive.recording.replay import Replay
from tests.unit.adas_drive.recording.test_bad_files import Image, camera_header, message
from tests.unit.adas_drive.recording.test_round_trip import same

HUGE = bytes(80 * 2**20)


def chunk(compression: str, data: bytes, says: int) -> Chunk:
    return Chunk(compression, data, 0, 0, 0, says)


@pytest.mark.parametrize("kind", [CompressionType.NONE, CompressionType.LZ4, CompressionType.ZSTD])
@pytest.mark.parametrize("chunked", [True, False])
def test_every_compression_of_real_logs_is_read(tmp_path: Path, kind: CompressionType, chunked: bool) -> None:
    path = tmp_path / "log.mcap"
    with path.open("wb") as file:
        writer = Writer(file, compression=kind, use_chunking=chunked, chunk_size=200)
        writer.start()
        channel = writer.register_channel("/sensors/camera", ENCODING, writer.register_schema("s", "", b""))
        for n in range(1, 9):
            data = message(camera_header(arrived_us=n, sequence=n), Image.tobytes())
            writer.add_message(channel, log_time=n * 1000, data=data, publish_time=0)
        writer.finish()  # type: ignore[no-untyped-call]
    readings = list(Replay(path).readings())
    assert [reading.stamp.sequence for reading in readings] == list(range(1, 9))
    assert all(same(getattr(reading, "image_HW", None), Image) for reading in readings)


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
@pytest.mark.parametrize("says", [0, 100, LARGEST + 1])
def test_a_bomb_is_refused_without_being_unpacked(compression: str, says: int) -> None:
    bomb = zstandard.compress(HUGE) if compression == "zstd" else lz4.frame.compress(HUGE)
    assert len(bomb) < 2**20
    tracemalloc.start()
    with pytest.raises(BadChunk, match="unpacks to"):
        records_of(chunk(compression, bomb, says))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**22


def test_a_chunk_that_says_too_much_or_is_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(BadChunk, match="unpacks to 5 bytes or more, and says 9"):
        records_of(chunk("zstd", zstandard.compress(b"12345"), 9))
    with pytest.raises(BadChunk, match="'brotli'"):
        records_of(chunk("brotli", b"12345", 5))


def test_a_wrong_checksum_is_seen() -> None:
    data = np.zeros(0).tobytes()
    assert records_of(Chunk("", data, 0, 0, zlib.crc32(data), 0)) == []
    with pytest.raises(ValueError, match="crc"):
        records_of(Chunk("", b"\x99" + bytes(8), 0, 0, 77, 9))
