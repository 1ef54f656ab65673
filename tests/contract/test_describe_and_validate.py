"""A phase says what it is, and everything that is wrong with a request, before anything runs."""

from __future__ import annotations

import grpc
import jsonschema_rs
import pytest
from google.protobuf import json_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from agentforge.client import PhaseClient
from agentforge.kit.errors import InvalidInput, NotFound
from agentforge.kit.phase import PhaseSpec
from agentforge.kit.refs import ArtifactRef
from tests.contract.examples import Example
from tests.harness import Service


def test_describes_itself(spec: PhaseSpec, client: PhaseClient) -> None:
    told = client.describe()
    assert told.name == spec.name
    assert told.summary
    assert told.version
    assert len(told.code_digest) == 64
    assert [(s.name, s.kind, s.min_count) for s in told.takes] == [
        (s.name, s.kind, s.min_count) for s in spec.takes
    ]
    assert [(s.name, s.kind) for s in told.makes] == [(s.name, s.kind) for s in spec.makes]
    assert spec.makes, "a phase that makes nothing cannot be followed by another"


def test_its_schema_accepts_its_presets_and_defaults(client: PhaseClient) -> None:
    told = client.describe()
    schema = json_format.MessageToDict(told.config_schema)
    validator = jsonschema_rs.validator_for(schema)
    validator.validate(json_format.MessageToDict(told.config_defaults))
    for name, preset in told.presets.items():
        assert not client.validate(json_format.MessageToDict(preset)).violations, name
    for name, field in schema["properties"].items():
        assert field.get("description"), f"config field {name} has no description"


def test_unknown_fields_are_named_with_the_nearest_right_one(spec: PhaseSpec, client: PhaseClient) -> None:
    violations = client.validate({"sede": 1}).violations
    assert [(v.field, v.reason) for v in violations] == [("sede", "UNKNOWN_FIELD")]
    assert "seed" in violations[0].next_step


@pytest.mark.parametrize("value", [-1, 1.5, "7", True, [1], {"a": 1}, float("nan"), float("inf"), 1e300])
def test_wrong_values_are_named(client: PhaseClient, value: object) -> None:
    violations = client.validate({"seed": value}).violations
    assert [v.field for v in violations] == ["seed"]


def test_validation_resolves_every_field(spec: PhaseSpec, client: PhaseClient, example: Example) -> None:
    answer = client.validate(example.config, preset=example.preset)
    assert not answer.violations
    assert set(answer.resolved_config.fields) == set(spec.config.model_fields)
    assert answer.config_digest == client.validate(example.config, preset=example.preset).config_digest
    assert (
        answer.config_digest != client.validate({**example.config, "seed": 7}, preset=example.preset).config_digest
    )


def test_an_unknown_preset_is_refused(client: PhaseClient) -> None:
    assert [v.reason for v in client.validate(preset="tinny").violations] == ["UNKNOWN_PRESET"]


@pytest.mark.parametrize("path", ["../etc", "/etc", "mine/../../etc", "", "a\x00b", "nothing/here", "x/" * 5000])
def test_inputs_from_elsewhere_are_refused(client: PhaseClient, spec: PhaseSpec, path: str) -> None:
    kind = spec.takes[0].kind if spec.takes else "text"
    bad = ArtifactRef("input", kind, path, "")
    assert client.validate(inputs=[bad], check_inputs=True).violations
    with pytest.raises((InvalidInput, NotFound)):
        client.start("bad-input", inputs=[bad])


def test_an_input_of_another_kind_is_refused(client: PhaseClient, spec: PhaseSpec) -> None:
    violations = client.validate(
        inputs=[ArtifactRef("x", "no-such-kind", "mine", "")], check_inputs=True
    ).violations
    assert any("no-such-kind" in v.message for v in violations)


def test_missing_inputs_are_named(client: PhaseClient, spec: PhaseSpec) -> None:
    needed = [slot.name for slot in spec.takes if slot.min_count]
    said = " ".join(v.message for v in client.validate(check_inputs=True).violations)
    assert all(name in said for name in needed)


def test_health_and_reflection(service: Service, client: PhaseClient) -> None:
    with grpc.insecure_channel(service.target) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", "agentforge.v1.PhaseService"):
            answer = health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as refused:
            health.Check(health_pb2.HealthCheckRequest(service="nobody"))
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND
        assert "agentforge.v1.PhaseService" in ProtoReflectionDescriptorDatabase(channel).get_services()
