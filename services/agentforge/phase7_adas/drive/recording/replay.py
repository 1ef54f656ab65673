"""Reading a recording, ours or a converted log: readings in order of arrival, as the sensor suite gives them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mcap.records import Channel, Chunk, Message, Metadata
from mcap.stream_reader import StreamReader
from mcap.writer import MCAP0_MAGIC

from agentforge.kit.errors import DataLoss, InvalidInput, NotFound
from agentforge.phase7_adas.drive.messages import Verdict
from agentforge.phase7_adas.drive.readings import Reading
from agentforge.phase7_adas.drive.recording.arrays import BadMessage, unpack
from agentforge.phase7_adas.drive.recording.channels import ARRAYS, ENCODING, METADATA, SENSORS, SHUFFLE_US, VERSION
from agentforge.phase7_adas.drive.recording.chunks import LARGEST, records_of
from agentforge.phase7_adas.drive.recording.things import Datagrams, Thing, time_us, together
from agentforge.phase7_adas.drive.truth import Truth

_FORMAT = "agentforge.phase7_adas.drive.recording.channels says what a recording holds."


class Replay:
    """Reads as it goes; a file of any length needs the memory of one chunk."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise NotFound(
                f"there is no recording {path}",
                reason="RECORDING_NOT_FOUND",
                field=str(path),
                next_step="Give the path of an .mcap file.",
            )
        self.path = path
        self.scenario, self.seed = "", 0
        """Of the metadata, once reading has begun; a converted log may have none."""
        self.metadata: dict[str, str] = {}
        self.passed_over: Counter[str] = Counter()
        """Messages of topics that are not ours, so far."""
        self._things = self._sensors_of(self.things())
        self._next: Reading | None = None

    def readings(self) -> Iterator[Reading]:
        """All of them, from the beginning."""
        return self._sensors_of(self.things())

    def read(self, t_us: int) -> list[Reading]:
        """What arrived by now and was not given before: call it with growing times, as one would a Suite."""
        arrived = []
        while (self._next or self._advance()) is not None:
            assert self._next is not None
            if self._next.stamp.arrived_us > t_us:
                break
            arrived.append(self._next)
            self._next = None
        return arrived

    def _advance(self) -> Reading | None:
        self._next = next(self._things, None)
        return self._next

    @staticmethod
    def _sensors_of(things: Iterator[Thing]) -> Iterator[Reading]:
        return (thing for thing in things if not isinstance(thing, Truth | Datagrams | Verdict))

    def things(self) -> Iterator[Thing]:
        """Everything that is ours, from the beginning, in the file's order, which is checked."""
        self.passed_over.clear()
        channels: dict[int, Channel] = {}
        newest_us, count = 0, 0
        for record in self._records():
            if isinstance(record, Metadata) and record.name == METADATA:
                self._meet(record.metadata)
            elif isinstance(record, Channel):
                channels[record.id] = record
            elif isinstance(record, Message):
                thing = self._thing(record, channels)
                if thing is None:
                    continue
                count += 1
                newest_us = max(newest_us, time_us(thing))
                if time_us(thing) < newest_us - SHUFFLE_US:
                    raise self._not_ours(
                        f"message {count} is of {time_us(thing)} us, after one of {newest_us} us: not in order",
                        "Sort the log by time first (`mcap sort`).",
                    )
                yield thing
        if not count:
            topics = ", ".join(sorted(channel.topic for channel in channels.values())) or "none"
            raise self._not_ours(f"no message of any topic that is ours; its topics: {topics}", _FORMAT)

    def _thing(self, message: Message, channels: dict[int, Channel]) -> Thing | None:
        channel = channels.get(message.channel_id)
        if channel is None:
            raise self._broken(f"a message of channel {message.channel_id}, which is not declared before it")
        if channel.topic not in ARRAYS:
            self.passed_over[channel.topic] += 1
            return None
        where = f"message {message.sequence} of {channel.topic} at {message.log_time} ns"
        if channel.message_encoding != ENCODING:
            raise self._not_ours(f"{where} is encoded as {channel.message_encoding!r}, not {ENCODING!r}", _FORMAT)
        try:
            thing = together(channel.topic, *unpack(message.data))
        except BadMessage as error:
            raise self._not_ours(f"{where}: {error}", _FORMAT) from error
        if time_us(thing) * 1000 != message.log_time:
            raise self._not_ours(f"{where}: its header says {time_us(thing)} us, which is another time", _FORMAT)
        return thing

    def _records(self) -> Iterator[object]:
        """What is wrong with the file, in words: the library tells it by errors of a dozen kinds."""
        with self.path.open("rb") as file:
            if file.read(len(MCAP0_MAGIC)) != MCAP0_MAGIC:
                raise self._not_ours("it is no MCAP file", _FORMAT)
            file.seek(0)
            reader = StreamReader(file, validate_crcs=True, record_size_limit=LARGEST, emit_chunks=True)
            records: Iterator[Any] = iter(reader.records)
            while True:
                try:
                    record = next(records, None)
                    within = records_of(record) if isinstance(record, Chunk) else [record]
                except Exception as error:
                    at, size = file.tell(), self.path.stat().st_size
                    if at >= size:
                        raise self._broken(f"it is cut off: it ends at byte {size}, inside a record") from error
                    raise self._broken(f"near byte {at}: {type(error).__name__}: {error}") from error
                if record is None:
                    return
                yield from within

    def _meet(self, metadata: dict[str, str]) -> None:
        version = metadata.get("version", "")
        if version != str(VERSION):
            raise self._not_ours(f"version {version!r} of our format; this program reads {VERSION}", _FORMAT)
        self.metadata = dict(metadata)
        self.scenario = metadata.get("scenario", "")
        seed = metadata.get("seed", "0")
        self.seed = int(seed) if seed.lstrip("-").isdecimal() else 0

    def _broken(self, fact: str) -> DataLoss:
        return DataLoss(
            f"{self.path} is broken: {fact}",
            reason="RECORDING_BROKEN",
            field=str(self.path),
            next_step="Copy it again; `mcap recover` saves what is whole.",
        )

    def _not_ours(self, fact: str, next_step: str) -> InvalidInput:
        return InvalidInput(
            f"{self.path} cannot be replayed: {fact}",
            reason="RECORDING_NOT_OURS",
            field=str(self.path),
            next_step=next_step,
        )


assert set(SENSORS) < set(ARRAYS)
