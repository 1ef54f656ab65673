"""What is missing is told by package and extra."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agentforge.kit.errors import MissingTool
from agentforge.models.gguf import tools
from tests.unit.ggufs import small


def test_an_absent_package_is_a_missing_tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from agentforge.models.gguf.writer import write_gguf

    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(MissingTool) as caught:
        write_gguf(tmp_path / "it.gguf", small.llama(), small.codec())
    assert caught.value.field == "gguf"
    assert caught.value.next_step == "Install it: pip install 'agentforge[gguf]'."
    assert not list(tmp_path.iterdir())


def test_both_are_looked_for_without_being_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools.importlib.util, "find_spec", lambda package: None)
    found = tools.missing("packing.gguf")
    assert [each.next_step for each in found] == [
        "Install it: pip install 'agentforge[gguf]'.",
        "Install it: pip install 'agentforge[llama]'.",
    ]
    assert {(each.field, each.reason) for each in found} == {("packing.gguf", "MISSING_TOOL")}
