"""Wall-clock times in the form of the log: RFC 3339, UTC, microseconds, "Z"."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def now() -> str:
    return _text(datetime.now(UTC))


def later(seconds: float) -> str:
    return _text(datetime.now(UTC) + timedelta(seconds=seconds))


def to_timestamp(text: str) -> Timestamp:
    micros = (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
    seconds, rest = divmod(micros, 1_000_000)
    return Timestamp(seconds=seconds, nanos=rest * 1000)


def from_timestamp(time: Timestamp) -> str:
    return _text(_EPOCH + timedelta(seconds=time.seconds, microseconds=time.nanos // 1000))


def _text(time: datetime) -> str:
    return time.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
