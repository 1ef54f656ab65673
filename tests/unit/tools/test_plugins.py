from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentforge.kit.errors import FailedPrecondition, ForgeError, InvalidInput
from agentforge.tools.describe import describe
from agentforge.tools.limits import Limits
from agentforge.tools.plugins import load_tool, read_definitions
from agentforge.tools.toolbox import Toolbox
from tests.unit.tools.test_tool import WEATHER

PLACE = "tests.unit.tools.plug"


@pytest.mark.parametrize("attribute", ["Plug", "made"])
@pytest.mark.parametrize("trusted", [False, True])
def test_a_tool_is_named_by_module_and_attribute(attribute: str, trusted: bool) -> None:
    tool = load_tool(f"{PLACE}:{attribute}", trusted=trusted)
    with Toolbox([tool]) as box:
        assert [spec.name for spec in box.specs] == ["plug"]
        assert box.run("plug(count)").text == "1"
        assert tool.call({"what": "flood 3"}) == "xxx"


@pytest.mark.parametrize(
    ("reference", "word"),
    [
        ("", "module:attribute"),
        ("agentforge", "module:attribute"),
        ("no_such_module:tool", "No module named 'no_such_module'"),
        (f"{PLACE}:nothing", "nothing"),
        (f"{PLACE}:NoTool", "is no tool"),
        (f"{PLACE}:BadSchema", "the schema of the tool plug is invalid"),
    ],
)
def test_what_is_no_tool_is_told_at_once(reference: str, word: str) -> None:
    for trusted in (False, True):
        with pytest.raises(ForgeError, match=word):
            _ = load_tool(reference, trusted=trusted).spec


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("import time; time.sleep(1000)", "within 2 s"),
        ("import os; os._exit(7)", "exit status 7"),
        ("raise SystemExit(3)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def tool(:", "SyntaxError"),
    ],
)
def test_importing_a_plugin_can_go_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, word: str
) -> None:
    (tmp_path / "wrong_plug.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InvalidInput, match=word):
        load_tool("wrong_plug:tool", limits=Limits(start_seconds=2 if "sleep" in code else 30))


@pytest.mark.parametrize("wrap", [list, lambda each: {"tools": each}, lambda each: {"result": {"tools": each}}])
def test_lists_of_mcp_are_for_describing(tmp_path: Path, wrap: Any) -> None:
    file = tmp_path / "tools.json"
    file.write_text(json.dumps(wrap([WEATHER])))
    (tool,) = read_definitions(file)
    assert tool.spec.to_mcp() == WEATHER
    assert describe([tool.spec]) == "<|system|>weather(city, days, $ref?): The weather of some days.\n"
    with pytest.raises(FailedPrecondition, match="only described"):
        tool.call({})
    with Toolbox([tool]) as box:
        result = box.run('weather({"city": "Ulm", "days": 3})')
        assert (result.error, "only described" in result.text) == ("NOT_RUNNABLE", True)


@pytest.mark.parametrize(
    "text", ["", "{", "3", "{}", "[]", '{"tools": []}', '{"tools": {}}', "[3]", "[" * 9_999, "\x00"]
)
def test_what_is_no_list_of_tools_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "tools.json"
    file.write_text(text)
    with pytest.raises(InvalidInput):
        read_definitions(file)


def test_missing_and_unreadable_lists_are_named(tmp_path: Path) -> None:
    for place in (tmp_path / "none.json", tmp_path):
        with pytest.raises(ForgeError, match=place.name):
            read_definitions(place)
    (tmp_path / "latin.json").write_bytes(b"\xff")
    with pytest.raises(InvalidInput, match=r"latin\.json"):
        read_definitions(tmp_path / "latin.json")
