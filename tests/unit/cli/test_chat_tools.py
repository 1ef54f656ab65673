"""`agentforge chat` with a model that calls a tool: the call is made, answered and shown, and the model goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from agentforge.data.items import Item
from agentforge.kit.digests import canonical_json
from agentforge.tools.builtin import builtin_tools
from agentforge.tools.saving import FILE, save_tools
from agentforge.tools.toolbox import Toolbox
from tests.unit.cli.program import Program
from tests.unit.cli.test_chat import QUESTION, small_llama

CALL = "<|tool|>calculator(25 + 17)<|/tool|><|result|>42<|/result|>"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It knows one question, the call for it, and what to say of the result."""
    known = Item("tool_calculator", QUESTION, "it is 42.", 2, scratchpad=CALL)
    place = small_llama(tmp_path_factory.mktemp("agent") / "model", [known], steps=150)
    save_tools(place, Toolbox(builtin_tools(["calculator"])), plugins=[], calls=1, prompt="<|system|>calculator\n")
    return place


@pytest.fixture
def copy(agent: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(agent, tmp_path / "copy"))


def changed(place: Path, **values: Any) -> None:
    saved = json.loads((place / FILE).read_bytes())
    (place / FILE).write_bytes(canonical_json({**saved, **values}))


def test_a_call_is_made_answered_and_told(forge: Program, agent: Path) -> None:
    done = forge("chat", agent, "--prompt", "25 + 17", "--json")
    assert done.code == 0, done
    called = {"tool": "calculator", "argument": "25 + 17", "result": "42"}
    assert json.loads(done.out) == {"prompt": "25 + 17", "text": "it is 42.", "calls": [called]}


def test_people_see_the_call_before_what_is_said(forge: Program, agent: Path) -> None:
    done = forge("chat", agent, "--prompt", QUESTION)
    assert done.out.splitlines() == ["[calculator(25 + 17) = 42]", "it is 42."]


def test_without_tools_a_call_is_text(forge: Program, agent: Path) -> None:
    done = forge("chat", agent, "--prompt", QUESTION, "--no-tools", "--json")
    assert json.loads(done.out)["text"].startswith("<|tool|>calculator(25 + 17)<|/tool|>")
    assert "calls" not in json.loads(done.out)


def test_thoughts_and_tools_exclude_each_other(forge: Program, agent: Path) -> None:
    done = forge("chat", agent, "--prompt", QUESTION, "--show-thoughts")
    assert done.code == 2
    assert "--no-tools" in done.err


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"plugins": ["tests.unit.tools.plug:TOOL"]}, "REMOTE_CODE_REFUSED"),
        ({"builtin": ["oracle"]}, "UNKNOWN_TOOL"),
        ({"calls": 0}, "INVALID_VALUE"),
        ({"tools": []}, "TOOL_CHANGED"),
        ({"more": 1}, "UNKNOWN_FIELD"),
    ],
)
def test_a_tools_file_that_cannot_be_followed_is_refused(
    forge: Program, copy: Path, values: dict[str, Any], reason: str
) -> None:
    changed(copy, **values)
    done = forge("chat", copy, "--prompt", QUESTION, "--json")
    assert done.code == 2, done
    assert json.loads(done.err)["error"]["reason"] == reason


def test_a_cut_tools_file_is_refused(forge: Program, copy: Path) -> None:
    (copy / FILE).write_text('{"builtin": [')
    done = forge("chat", copy, "--prompt", QUESTION)
    assert done.code == 1, done
    assert FILE in done.err


def test_eval_says_what_a_model_can_do_with_its_tools(forge: Program, agent: Path) -> None:
    done = forge("eval", agent, "--family", "arithmetic", "--items", "10", "--json")
    assert done.code == 0, done
    found = json.loads(done.out)["families"]["arithmetic"]
    assert 0 <= found["accuracy_with_tools"] <= 1
