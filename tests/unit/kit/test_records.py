"""The hand-written conversions, held against google.protobuf.json_format."""

from __future__ import annotations

import json
import math
from typing import Any

from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from agentforge.kit.records import LOGGED, PAYLOADS, from_proto, from_struct, to_proto, to_struct
from agentforge.v1 import event_pb2

_text = st.text(max_size=20)
_uint64 = st.integers(0, 2**64 - 1)
_double = st.floats(allow_nan=False, allow_infinity=False)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _double | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=12,
)
_states = st.sampled_from(event_pb2.RunState.keys())
_error = st.fixed_dictionaries(dict.fromkeys(("reason", "message", "field", "next_step"), _text))
_artifact = st.fixed_dictionaries(
    {"name": _text, "kind": _text, "path": _text, "sha256": _text, "size_bytes": _uint64}
)
_payloads: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "state_changed": st.fixed_dictionaries({"state": _states, "reason": _text}, optional={"error": _error}),
    "progress": st.fixed_dictionaries({"done": _uint64, "total": _uint64, "unit": _text, "message": _text}),
    "measurement": st.fixed_dictionaries(
        {"name": _text, "value": _double, "unit": _text, "method": _text, "n": _uint64},
        optional={"spread": _double, "step": _uint64},
    ),
    "log": st.fixed_dictionaries({"level": st.sampled_from(event_pb2.Log.Level.keys()), "message": _text}),
    "artifact_produced": st.fixed_dictionaries({"artifact": _artifact}),
    "sample": st.fixed_dictionaries({"name": _text, "data": st.dictionaries(_text, _json, max_size=4)}),
    "heartbeat": st.just({}),
    "caught_up": st.fixed_dictionaries({"sequence": _uint64}),
}


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    name = draw(st.sampled_from(sorted(_payloads)))
    record = {
        "sequence": draw(_uint64),
        "time": draw(st.datetimes()).isoformat(timespec="microseconds") + "Z",
        "attempt": draw(st.integers(0, 2**32 - 1)),
        "phase": draw(_text),
    }
    if source := draw(_uint64):
        record["source_sequence"] = source
    return {**record, name: draw(_payloads[name])}


def test_every_payload_of_the_contract_is_covered() -> None:
    oneof = event_pb2.Event.DESCRIPTOR.oneofs_by_name["payload"]
    assert {field.name for field in oneof.fields} == set(PAYLOADS) == set(_payloads)
    assert set(PAYLOADS) - LOGGED == {"heartbeat", "caught_up"}


@given(records())
def test_there_and_back(record: dict[str, Any]) -> None:
    again = from_proto(to_proto(json.loads(json.dumps(record))))
    assert _doubles(again) == _doubles(record)
    assert list(again) == list(record)


@given(records())
def test_the_same_as_json_format(record: dict[str, Any]) -> None:
    event = to_proto(record)
    assert json_format.ParseDict(record, event_pb2.Event()) == event
    theirs = json_format.MessageToDict(
        event, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    assert json_format.ParseDict(theirs, event_pb2.Event()) == json_format.ParseDict(
        from_proto(event), event_pb2.Event()
    )
    name = next(n for n in PAYLOADS if n in record)
    assert set(theirs[name]) == set(from_proto(event)[name])


@given(st.dictionaries(_text, _json, max_size=5))
def test_structs(value: dict[str, Any]) -> None:
    theirs = json_format.ParseDict(value, to_struct({}))
    assert to_struct(value) == theirs
    assert _doubles(from_struct(theirs)) == _doubles(value)


def test_times_are_exact_to_the_microsecond() -> None:
    record = {"sequence": 1, "time": "2026-11-21T23:59:59.999999Z", "attempt": 1, "phase": "p", "heartbeat": {}}
    assert to_proto(record).time == Timestamp(seconds=1795305599, nanos=999_999_000)
    assert from_proto(to_proto(record))["time"] == record["time"]


def _doubles(value: Any) -> Any:
    """A Struct holds doubles only, and -0.0 comes back as the integer 0: compare numbers as numbers."""
    if isinstance(value, dict):
        return {key: _doubles(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_doubles(item) for item in value]
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    return value
