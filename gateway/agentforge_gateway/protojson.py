"""Between protobuf messages and the JSON of this gateway: snake_case names, integers as integers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pydantic
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from agentforge.kit import clock
from agentforge.kit.errors import InvalidInput, Violation
from agentforge.kit.records import from_struct
from agentforge.kit.serve import values
from agentforge.v1 import phase_pb2, pipeline_pb2
from agentforge_gateway.models import PipelineSpec, PlannedPhase, Run, Slot


def to_json(message: Message) -> dict[str, Any]:
    """Every field that has a value, and the zero of those that have no presence."""
    return {
        field.name: _value(field, getattr(message, field.name))
        for field in message.DESCRIPTOR.fields
        if not field.has_presence or message.HasField(field.name)
    }


def run_to_proto(run: Run) -> pipeline_pb2.Pipeline:
    return json_format.ParseDict(run.model_dump(mode="json", exclude_none=True), pipeline_pb2.Pipeline())


def planned_to_proto(phase: PlannedPhase) -> pipeline_pb2.PlannedPhase:
    return json_format.ParseDict(phase.model_dump(mode="json"), pipeline_pb2.PlannedPhase())


def spec_from_proto(spec: pipeline_pb2.PipelineSpec) -> PipelineSpec:
    given = {
        "preset": spec.preset,
        "config": {phase: values.from_struct(config, phase) for phase, config in spec.config.items()},
        "from_phase": spec.from_phase,
        "until_phase": spec.until_phase,
        "inputs": [to_json(artifact) for artifact in spec.inputs],
        "no_reuse": spec.no_reuse,
    }
    try:
        return PipelineSpec.model_validate(given)
    except pydantic.ValidationError as error:
        raise InvalidInput.of(violations_of_validation(error.errors(include_url=False))) from None


def violations_of_validation(errors: Iterable[Any]) -> list[Violation]:
    """pydantic's complaints in our words. What was given is not repeated: it may be long, or secret."""
    found = []
    for error in errors:
        field = ""
        for part in error["loc"]:
            field += f"[{part}]" if isinstance(part, int) else f".{part}" if field else str(part)
        message = f"{field}: {error['msg']}" if field else str(error["msg"])
        found.append(Violation(field[:200], message[:400], "INVALID_VALUE"))
    return found


def slots_of(slots: Iterable[phase_pb2.Slot]) -> list[Slot]:
    return [Slot(**to_json(slot)) for slot in slots]


def _value(field: Any, value: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return {key: _one(field.message_type.fields_by_name["value"], value[key]) for key in sorted(value)}
    if field.is_repeated:
        return [_one(field, item) for item in value]
    return _one(field, value)


def _one(field: Any, value: Any) -> Any:
    if isinstance(value, Struct):
        return from_struct(value)
    if isinstance(value, Timestamp):
        return clock.from_timestamp(value)
    if isinstance(value, Message):
        return to_json(value)
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else value
    return value
