"""Writing a recording."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO

from mcap.writer import CompressionType, Writer

from agentforge.kit.files import disk_errors
from agentforge.phase7_adas.drive.recording.arrays import pack
from agentforge.phase7_adas.drive.recording.channels import ARRAYS, ENCODING, METADATA, VERSION, schema
from agentforge.phase7_adas.drive.recording.things import Thing, apart, time_us, topic_of


class Recorder:
    """`with Recorder(path, scenario, seed) as recorder: recorder.write(reading)`, in order of arrival.

    The file gets its name when all is written; when the block ends by an error there is none.
    """

    def __init__(
        self, path: Path, scenario: str = "", seed: int = 0, told: Mapping[str, str] | None = None
    ) -> None:
        """`told`: more of the metadata: channels.py."""
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        with disk_errors(path):
            self._file: IO[bytes] = self._part.open("wb")
        # the checksum of the whole data section is what lets a reader refuse any flipped bit
        self._writer = Writer(self._file, compression=CompressionType.ZSTD, enable_data_crcs=True)
        self._writer.start(profile="", library="agentforge")
        metadata = {"version": str(VERSION), "scenario": scenario, "seed": str(seed), **(told or {})}
        self._writer.add_metadata(METADATA, metadata)
        self._channels = {topic: self._register(topic) for topic in ARRAYS}
        self._counts = dict.fromkeys(ARRAYS, 0)

    def _register(self, topic: str) -> int:
        words = json.dumps(schema(topic), sort_keys=True).encode()
        known = self._writer.register_schema(topic, "jsonschema", words)
        return self._writer.register_channel(topic, ENCODING, known)

    def write(self, thing: Thing) -> None:
        topic, t_us = topic_of(thing), time_us(thing)
        header, arrays = apart(thing)
        with disk_errors(self._path):
            self._writer.add_message(
                self._channels[topic],
                log_time=t_us * 1000,
                data=pack(header, arrays),
                publish_time=t_us * 1000,
                sequence=self._counts[topic],
            )
        self._counts[topic] += 1

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._file.close()
            self._part.unlink(missing_ok=True)
            return
        with disk_errors(self._path):
            self._writer.finish()  # type: ignore[no-untyped-call]
            self._file.close()
            self._part.replace(self._path)
