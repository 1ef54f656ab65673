"""`agentforge chat` with a model that thinks: its thoughts shown, hidden, forced and switched off."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from agentforge.cli.app import app
from agentforge.kit.errors import ForgeError
from agentforge.models.thoughts.sampling import Sampling
from agentforge.models.thoughts.saving import load_thinker, save_thinker
from agentforge.models.thoughts.thinker import Habits, Thinker
from agentforge.models.thoughts.tokens import find_marks
from agentforge.train.loading import load_model
from agentforge.train.talk import Talker
from tests import pico
from tests.unit.cli.program import Program
from tests.unit.cli.test_chat import read_until

LENGTH, AHEAD = 6, 3
ASK = ("--prompt", "25 + 17", "--max-new-tokens", "7")


def thinking(directory: Path, model: Any, threshold: float | None = 0.0, thoughts: int = 3) -> Path:
    """A model with thoughts that weigh half of what it says."""
    pico.save(model, directory)
    sampling = Sampling(thoughts=thoughts, length=LENGTH)
    made = Thinker(model, find_marks(pico.tokenizer()), Habits(sampling, AHEAD, threshold, seed=1))
    torch.nn.init.zeros_(made.head.outer.bias)
    save_thinker(directory, made, {})
    return directory


@pytest.fixture(scope="module")
def titan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    memory: dict[str, Any] = {
        "memory": True,
        "memory_layers": [0],
        "recursion": True,
        "persistent_tokens": 2,
        "sliding_window": 16,
    }
    return thinking(tmp_path_factory.mktemp("titan") / "model", pico.titan(**memory))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return thinking(tmp_path_factory.mktemp("llama") / "model", pico.llama())


@pytest.fixture(scope="module")
def never(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return thinking(tmp_path_factory.mktemp("never") / "model", pico.titan(), None)


Say = Callable[..., str]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    """`agentforge chat` in this process, since torch is slow to import: what it prints, with nothing on stderr."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # it sets it itself; here it must not stay
    torch.set_num_threads(1)

    def chat(*args: str | Path) -> str:
        assert app(["chat", *map(str, args)], standalone_mode=False) == 0
        printed = capsys.readouterr()
        assert printed.err == ""
        return printed.out

    return chat


def test_json_shows_thoughts_only_if_asked(say: Say, titan: Path) -> None:
    plain, shown = json.loads(say(titan, *ASK, "--json")), json.loads(say(titan, *ASK, "--json", "--show-thoughts"))
    assert list(plain) == ["prompt", "text"]
    assert list(shown) == ["prompt", "text", "thoughts"]
    assert shown["text"] == plain["text"]
    assert [had["after"] for had in shown["thoughts"]] == [0, 3, 6]
    assert [len(had["texts"]) for had in shown["thoughts"]] == [3, 3, 3]
    assert [len(had["alpha"]) for had in shown["thoughts"]] == [3, 3, 1]
    assert {alpha for had in shown["thoughts"] for alpha in had["alpha"]} == {0.5}
    assert len({text for had in shown["thoughts"] for text in had["texts"]}) > 3


def test_without_the_marked_parts_a_pipe_gets_the_answer(say: Say, titan: Path) -> None:
    plain, shown = say(titan, *ASK), say(titan, *ASK, "--show-thoughts")
    marked = re.compile(r"<\|startofthought\|>(.*?) \(\+2 more\)<\|endofthought\|>")
    assert len(marked.findall(shown)) == 3
    assert all(text.isprintable() for text in marked.findall(shown))
    assert marked.sub("", shown) == plain
    assert plain == json.loads(say(titan, *ASK, "--json"))["text"] + "\n"


@pytest.mark.slow
def test_a_terminal_shows_them_dim(forge: Program, titan: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "agentforge.cli", "chat", str(titan), *ASK, "--show-thoughts"]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=forge.environment)
    os.close(theirs)
    seen = read_until(ours, " (+2 more)]\x1b[22m")
    os.close(ours)
    process.wait(60)
    assert seen.startswith("\x1b[2m[")


def test_talkers_thoughts_come_before_what_they_serve(llama: Path) -> None:
    told: list[str | list[str]] = []
    loaded = load_model(llama)
    talker = Talker(loaded, max_new_tokens=5, thinker=load_thinker(llama, loaded.model, loaded.tokenizer))
    said = talker.say("x", told.append, told.append)
    thoughts = [each for each in told if isinstance(each, list)]
    assert thoughts == [had.texts for had in said.thoughts]
    assert len(thoughts) == 2
    assert isinstance(told[0], list)
    assert "".join(each for each in told if isinstance(each, str)) == said.text
    assert talker.say("x") == said  # greedy, and a thought's dice are those of its place


def test_no_thoughts_is_the_model_alone(say: Say, titan: Path, tmp_path: Path) -> None:
    alone = pico.save(load_model(titan).model, tmp_path / "alone")
    off = say(titan, *ASK, "--no-thoughts")
    assert off == say(alone, *ASK)
    (alone / "quietstar.json").write_text("{")
    assert say(alone, *ASK, "--no-thoughts") == off
    with pytest.raises(ForgeError) as caught:
        say(alone, *ASK)
    assert (caught.value.reason, caught.value.exit_code) == ("BROKEN_FILE", 1)


def test_never_is_a_habit_that_can_be_overruled(say: Say, never: Path) -> None:
    assert say(never, *ASK) == say(never, *ASK, "--no-thoughts")
    with pytest.raises(ForgeError, match="--think-from") as caught:
        say(never, *ASK, "--show-thoughts")
    assert (caught.value.reason, caught.value.exit_code) == ("NEVER_THINKS", 2)
    forced = json.loads(say(never, *ASK, "--json", "--show-thoughts", "--think-from", "0"))
    assert [had["after"] for had in forced["thoughts"]] == [0, 3, 6]
    assert json.loads(say(never, *ASK, "--json", "--show-thoughts", "--think-from", "1"))["thoughts"] == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--show-thoughts"], "NO_THOUGHTS"),
        (["--think-from", "0.5"], "NO_THOUGHTS"),
        (["--think-from", "0.5", "--no-thoughts"], "CONFLICTING_OPTIONS"),
        (["--show-thoughts", "--no-thoughts"], "CONFLICTING_OPTIONS"),
    ],
)
def test_thoughts_that_cannot_come_are_refused(say: Say, tmp_path: Path, options: list[str], reason: str) -> None:
    model = pico.save(pico.titan(), tmp_path / "model")
    with pytest.raises(ForgeError) as caught:
        say(model, *ASK, *options)
    assert (caught.value.reason, caught.value.exit_code) == (reason, 2)


def test_the_context_holds_prompt_answer_and_a_thought(llama: Path) -> None:
    loaded = load_model(llama)
    thinker = load_thinker(llama, loaded.model, loaded.tokenizer)
    assert loaded.context is not None
    alone, thoughtful = Talker(loaded, max_new_tokens=99), Talker(loaded, max_new_tokens=99, thinker=thinker)
    longest = loaded.context - 1 - LENGTH - 1
    said = thoughtful.say("q" * longest)
    assert [had.after for had in said.thoughts] == [0]
    with pytest.raises(ForgeError, match="a thought of up to 6") as caught:
        thoughtful.ids("q" * (longest + 1))
    assert (caught.value.reason, caught.value.exit_code) == ("PROMPT_TOO_LONG", 2)
    alone.ids("q" * (longest + 1))
    short = thoughtful.say("q" * (longest - 4))  # 5 tokens
    assert [had.after for had in short.thoughts] == [0, 3]
