"""Unpacking chunks of a file that may have been made to fill the memory: no more than it says, nor too much."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import lz4.frame  # type: ignore[import-untyped]
import zstandard
from mcap.records import Chunk, McapRecord
from mcap.stream_reader import breakup_chunk

LARGEST: Final = 256 * 2**20
"""Bytes of a chunk or a record; beyond it the file is broken, for what is recorded is chunked by the megabyte."""


class BadChunk(ValueError):
    pass


def records_of(chunk: Chunk) -> list[McapRecord]:
    """Its checksum is compared, where it has one."""
    if chunk.uncompressed_size > LARGEST:
        raise BadChunk(f"a chunk that unpacks to {chunk.uncompressed_size} bytes; the most is {LARGEST}")
    data = _unpacked(chunk)
    if len(data) != chunk.uncompressed_size:
        raise BadChunk(f"a chunk unpacks to {len(data)} bytes or more, and says {chunk.uncompressed_size}")
    return breakup_chunk(replace(chunk, compression="", data=data), validate_crc=True)


def _unpacked(chunk: Chunk) -> bytes:
    most = chunk.uncompressed_size + 1
    if chunk.compression == "zstd":
        with zstandard.ZstdDecompressor().stream_reader(chunk.data) as reader:
            return bytes(reader.read(most))
    if chunk.compression == "lz4":
        return bytes(lz4.frame.LZ4FrameDecompressor().decompress(chunk.data, max_length=most))
    if chunk.compression:
        raise BadChunk(f"a chunk is compressed by {chunk.compression!r}; known are zstd and lz4")
    return chunk.data
