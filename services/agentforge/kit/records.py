"""Events in their two forms: a record (a line of the log, plain JSON) and the protobuf message. Written by hand,
because json_format takes three to ten times as long; a test holds both together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.struct_pb2 import ListValue, NullValue, Struct, Value

from agentforge.kit import clock
from agentforge.kit.errors import InvalidInput
from agentforge.kit.refs import ArtifactRef
from agentforge.v1 import event_pb2

Record = dict[str, Any]
"""{"sequence", "time", "attempt", "phase", <payload name>: {…}}, and "source_sequence" in a pipeline's copies."""


def payload_of(record: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name and the content of what the record says."""
    for name in PAYLOADS:
        if name in record:
            return name, record[name]
    raise ValueError(f"event {record.get('sequence')} has no payload: {sorted(record)}")


def check_payload(name: str, payload: Mapping[str, Any]) -> None:
    """Raise unless the payload is one that the protobuf message can carry."""
    try:
        _TO_PROTO[name](payload)
    except (ValueError, TypeError, KeyError) as error:
        message = f"event {name} is malformed: {type(error).__name__}: {error}"
        raise InvalidInput(message, reason="INVALID_EVENT", field=name) from None


def to_proto(record: Mapping[str, Any]) -> event_pb2.Event:
    name, payload = payload_of(record)
    event = event_pb2.Event(
        sequence=record.get("sequence", 0),
        attempt=record.get("attempt", 0),
        phase=record.get("phase", ""),
        source_sequence=record.get("source_sequence", 0),
    )
    if "time" in record:
        event.time.CopyFrom(clock.to_timestamp(record["time"]))
    getattr(event, name).CopyFrom(_TO_PROTO[name](payload))
    return event


def from_proto(event: event_pb2.Event) -> Record:
    name = event.WhichOneof("payload")
    if name is None:
        raise ValueError(f"event {event.sequence} has no payload that this version knows")
    record: Record = {"sequence": event.sequence}
    if event.HasField("time"):
        record["time"] = clock.from_timestamp(event.time)
    record["attempt"] = event.attempt
    record["phase"] = event.phase
    if event.source_sequence:
        record["source_sequence"] = event.source_sequence
    record[name] = _FROM_PROTO[name](getattr(event, name))
    return record


def to_struct(value: Mapping[str, Any]) -> Struct:
    return Struct(fields={key: _to_value(item) for key, item in value.items()})


def from_struct(struct: Struct) -> dict[str, Any]:
    return {key: _from_value(item) for key, item in struct.fields.items()}


def _to_value(item: Any) -> Value:
    if item is None:
        return Value(null_value=NullValue.NULL_VALUE)
    if isinstance(item, bool):
        return Value(bool_value=item)
    if isinstance(item, int | float):
        return Value(number_value=item)
    if isinstance(item, str):
        return Value(string_value=item)
    if isinstance(item, Mapping):
        return Value(struct_value=to_struct(item))
    if isinstance(item, list | tuple):
        return Value(list_value=ListValue(values=[_to_value(part) for part in item]))
    raise TypeError(f"{type(item).__name__} is no JSON value")


def _from_value(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "struct_value":
        return from_struct(value.struct_value)
    if kind == "list_value":
        return [_from_value(item) for item in value.list_value.values]
    return None if kind in ("null_value", None) else getattr(value, kind)


def error_to_proto(error: Mapping[str, Any]) -> event_pb2.ErrorDetail:
    return event_pb2.ErrorDetail(**error)


def error_from_proto(error: event_pb2.ErrorDetail) -> dict[str, Any]:
    return {f: getattr(error, f) for f in ("reason", "message", "field", "next_step")}


def _state_to_proto(payload: Mapping[str, Any]) -> event_pb2.StateChanged:
    error = payload.get("error")
    return event_pb2.StateChanged(
        state=event_pb2.RunState.Value(payload["state"]),
        reason=payload.get("reason", ""),
        error=None if error is None else error_to_proto(error),
    )


def _state_from_proto(message: event_pb2.StateChanged) -> dict[str, Any]:
    payload = {"state": event_pb2.RunState.Name(message.state), "reason": message.reason}
    return {**payload, "error": error_from_proto(message.error)} if message.HasField("error") else payload


def _progress_to_proto(payload: Mapping[str, Any]) -> event_pb2.Progress:
    return event_pb2.Progress(**payload)


def _progress_from_proto(message: event_pb2.Progress) -> dict[str, Any]:
    return {"done": message.done, "total": message.total, "unit": message.unit, "message": message.message}


def measurement_to_proto(payload: Mapping[str, Any]) -> event_pb2.Measurement:
    return event_pb2.Measurement(**payload)


def measurement_from_proto(message: event_pb2.Measurement) -> dict[str, Any]:
    payload = {f: getattr(message, f) for f in ("name", "value", "unit", "method", "n")}
    return payload | {f: getattr(message, f) for f in ("spread", "step") if message.HasField(f)}


def _log_to_proto(payload: Mapping[str, Any]) -> event_pb2.Log:
    level = event_pb2.Log.Level.Value(payload.get("level", "LEVEL_INFO"))
    return event_pb2.Log(level=level, message=payload.get("message", ""))


def _log_from_proto(message: event_pb2.Log) -> dict[str, Any]:
    return {"level": event_pb2.Log.Level.Name(message.level), "message": message.message}


def _artifact_to_proto(payload: Mapping[str, Any]) -> event_pb2.ArtifactProduced:
    return event_pb2.ArtifactProduced(artifact=ArtifactRef.from_json(payload["artifact"]).to_proto())


def _artifact_from_proto(message: event_pb2.ArtifactProduced) -> dict[str, Any]:
    return {"artifact": ArtifactRef.from_proto(message.artifact).to_json()}


def _sample_to_proto(payload: Mapping[str, Any]) -> event_pb2.Sample:
    return event_pb2.Sample(name=payload["name"], data=to_struct(payload["data"]))


def _sample_from_proto(message: event_pb2.Sample) -> dict[str, Any]:
    return {"name": message.name, "data": from_struct(message.data)}


_TO_PROTO: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "progress": _progress_to_proto,
    "state_changed": _state_to_proto,
    "measurement": measurement_to_proto,
    "log": _log_to_proto,
    "artifact_produced": _artifact_to_proto,
    "sample": _sample_to_proto,
    "heartbeat": lambda _: event_pb2.Heartbeat(),
    "caught_up": lambda payload: event_pb2.CaughtUp(sequence=payload["sequence"]),
}
_FROM_PROTO: dict[str, Callable[[Any], dict[str, Any]]] = {
    "progress": _progress_from_proto,
    "state_changed": _state_from_proto,
    "measurement": measurement_from_proto,
    "log": _log_from_proto,
    "artifact_produced": _artifact_from_proto,
    "sample": _sample_from_proto,
    "heartbeat": lambda _: {},
    "caught_up": lambda message: {"sequence": message.sequence},
}
PAYLOADS = tuple(_TO_PROTO)
LOGGED = frozenset(PAYLOADS) - {"heartbeat", "caught_up"}
