from __future__ import annotations

from typing import Any

import pytest

from agentforge.kit.errors import InvalidInput
from agentforge.tools.tool import ToolResult, ToolSpec
from tests.unit.tools.plug import ONE

WEATHER = {
    "name": "weather",
    "description": "The weather of some days.",
    "inputSchema": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "city": {"$ref": "#/$defs/name"},
            "days": {"type": "integer", "minimum": 1},
            "$ref": {"type": "integer", "const": 3, "enum": [{"$ref": "http://elsewhere"}]},
        },
        "required": ["city", "days"],
        "$defs": {"name": {"type": "string"}},
    },
}


def test_a_spec_goes_to_mcp_and_back() -> None:
    assert ToolSpec.from_mcp(WEATHER).to_mcp() == WEATHER
    formed = ToolSpec("a", "b", ONE, "[a-z]+")
    assert ToolSpec.from_mcp(formed.to_mcp()) == formed
    more = {**WEATHER, "title": "Weather", "annotations": {"readOnlyHint": True}, "_meta": {"other": 1}}
    assert ToolSpec.from_mcp(more).to_mcp() == WEATHER


def test_results_have_the_shape_of_mcp() -> None:
    assert ToolResult("42").to_mcp() == {"content": [{"type": "text", "text": "42"}], "isError": False}
    assert ToolResult("error: no", "BAD_CALL").to_mcp()["isError"] is True


@pytest.mark.parametrize("name", ["", "Weather", "get-weather", "1st", "a b", "a(", "ü", "a" * 65, "a\n", None, 3])
def test_names_that_a_call_could_not_hold_are_refused(name: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        ToolSpec(name, "", ONE)
    assert (caught.value.reason, caught.value.field.endswith("name")) == ("BAD_TOOL", True)


def of(value: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": value}}


DEEP: dict[str, Any] = {"type": "object"}
for _ in range(2_000):
    DEEP = of(DEEP)


@pytest.mark.parametrize(
    ("schema", "field"),
    [
        (None, "type"),
        ([], "type"),
        ({}, "type"),
        ({"type": "string"}, "type"),
        ({"type": ["object", "null"]}, "type"),
        (of({"type": "strin"}), "properties.a.type"),
        (of({"minimum": "1"}), "properties.a.minimum"),
        (of({"pattern": "("}), "properties.a.pattern"),
        (of(3), "properties.a"),
        ({"type": "object", "required": "a"}, "required"),
        ({"type": "object", "required": ["a"]}, "required"),
        (of({"$ref": "https://elsewhere/schema.json"}), "properties.a.$ref"),
        (of({"$ref": "file:///etc/passwd"}), "properties.a.$ref"),
        (of({"$ref": "other.json#/a"}), "properties.a.$ref"),
        (of({"$ref": "#/$defs/none"}), "properties.a.$ref"),
        (of({"$dynamicRef": "#a"}), "properties.a.$dynamicRef"),
        (of({"$id": "https://elsewhere/"}), "properties.a.$id"),
        (of({"default": {1, 2}}), "inputSchema"),
        (of({"default": float("nan")}), "inputSchema"),
        (of({"description": "x" * 100_001}), "inputSchema"),
        ({"type": "object", "$ref": "#"}, "$ref"),
        (DEEP, "inputSchema"),
    ],
)
def test_schemas_that_no_call_could_be_judged_by_are_refused(schema: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        ToolSpec("oracle", "", schema)
    assert caught.value.reason == "BAD_SCHEMA"
    assert caught.value.field == "oracle.inputSchema" + ("" if field == "inputSchema" else f".{field}")
    assert "oracle" in caught.value.message


@pytest.mark.parametrize("given", [None, [], {}, {"name": 3}, {"name": "a"}, {"name": "a", "inputSchema": None}])
def test_what_is_no_definition_is_refused(given: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        ToolSpec.from_mcp(given)
    assert caught.value.reason in ("BAD_TOOL", "BAD_SCHEMA")


def test_one_required_string_may_be_given_as_it_stands() -> None:
    assert ToolSpec("a", "", ONE).raw == "what"
    assert ToolSpec("a", "", {**ONE, "required": []}).raw is None
    assert ToolSpec.from_mcp(WEATHER).raw is None
    assert ToolSpec("a", "", {**of({"type": "integer"}), "required": ["a"]}).raw is None
    assert ToolSpec("a", "", {**of(True), "required": ["a"]}).raw is None
