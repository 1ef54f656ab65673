"""`agentforge chat` with a model that calls a tool: the call is made, answered and shown, and the model goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from agentforge.cli.app import app
from agentforge.data.items import Item
from agentforge.kit.digests import canonical_json
from agentforge.kit.errors import ForgeError
from agentforge.tools.builtin import builtin_tools
from agentforge.tools.saving import FILE, save_tools
from agentforge.tools.toolbox import Toolbox
from agentforge.train import examine
from tests.unit.cli.program import Program
from tests.unit.cli.test_chat import QUESTION, small_llama
from tests.unit.cli.test_ternary import two_texts

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


Say = Callable[..., str]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    """A command on a model in this process, since torch is slow to import: what it prints."""
    monkeypatch.setattr(examine, "held_out_texts", two_texts)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # it sets it itself; here it must not stay
    torch.set_num_threads(1)

    def run(command: str, *args: str | Path) -> str:
        assert app([command, *map(str, args)], standalone_mode=False) == 0
        return capsys.readouterr().out

    return run


def test_a_call_is_made_answered_and_told(forge: Program, agent: Path) -> None:
    done = forge("chat", agent, "--prompt", "25 + 17", "--json")
    assert done.code == 0, done
    called = {"tool": "calculator", "argument": "25 + 17", "result": "42"}
    assert json.loads(done.out) == {"prompt": "25 + 17", "text": "it is 42.", "calls": [called]}


def test_people_see_the_call_before_what_is_said(say: Say, agent: Path) -> None:
    assert say("chat", agent, "--prompt", QUESTION).splitlines() == ["[calculator(25 + 17) = 42]", "it is 42."]


def test_without_tools_a_call_is_text(say: Say, agent: Path) -> None:
    said = json.loads(say("chat", agent, "--prompt", QUESTION, "--no-tools", "--json"))
    assert said["text"].startswith("<|tool|>calculator(25 + 17)<|/tool|>")
    assert "calls" not in said


def test_thoughts_and_tools_exclude_each_other(say: Say, agent: Path) -> None:
    with pytest.raises(ForgeError, match="--no-tools") as caught:
        say("chat", agent, "--prompt", QUESTION, "--show-thoughts")
    assert caught.value.exit_code == 2


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
    say: Say, copy: Path, values: dict[str, Any], reason: str
) -> None:
    changed(copy, **values)
    with pytest.raises(ForgeError) as caught:
        say("chat", copy, "--prompt", QUESTION)
    assert (caught.value.reason, caught.value.exit_code) == (reason, 2)


def test_a_cut_tools_file_is_refused(forge: Program, copy: Path) -> None:
    (copy / FILE).write_text('{"builtin": [')
    done = forge("chat", copy, "--prompt", QUESTION)
    assert done.code == 1, done
    assert FILE in done.err


def test_eval_says_what_a_model_can_do_with_its_tools(say: Say, agent: Path) -> None:
    found = json.loads(say("eval", agent, "--family", "arithmetic", "--items", "10", "--json"))
    assert 0 <= found["families"]["arithmetic"]["accuracy_with_tools"] <= 1
