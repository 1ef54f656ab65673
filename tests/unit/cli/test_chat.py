"""`agentforge chat` on real small models: one that knows a single answer, and a Titan that knows none."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from agentforge.cli.app import app
from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.data.tokenizer import train_tokenizer
from agentforge.kit.errors import ForgeError
from agentforge.models import TitanConfig, TitanForCausalLM
from agentforge.train.loading import load_model
from agentforge.train.talk import Talker
from tests.unit.cli.program import Program

QUESTION = "Q: 25 + 17 = A:"
PLAIN = {"memory": False, "act": False, "recursion": False, "persistent_tokens": 0}


@cache
def codec() -> Codec:
    return Codec(train_tokenizer((f"Q: {a} + {b} = A: {a + b} ; mod" for a in range(40) for b in range(9)), 284))


def small_titan(directory: Path, **fields: Any) -> Path:
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, **fields}
    config = TitanConfig.preset("tiny", vocab_size=284, eos_token_id=1, pad_token_id=2, bos_token_id=0, **shape)
    TitanForCausalLM(config).save_pretrained(directory)
    codec().tokenizer.save_pretrained(directory)
    return directory


def small_llama(directory: Path, items: Sequence[Item] = (), steps: int = 80) -> Path:
    """A Llama that knows these items by heart."""
    torch.set_num_threads(1)  # two would wait for each other at this size
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=284, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=64, eos_token_id=1, pad_token_id=2, bos_token_id=0,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    rows = [codec().item_ids(item)[0] for item in items]
    ids_BT = torch.tensor([[*row, *[2] * (max(map(len, rows)) - len(row))] for row in rows])
    for _ in range(steps if rows else 0):
        optimizer.zero_grad()
        model(input_ids=ids_BT, labels=ids_BT.masked_fill(ids_BT == 2, -100)).loss.backward()
        optimizer.step()
    model.save_pretrained(directory)
    codec().tokenizer.save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    known = Item("arithmetic", QUESTION, "42", 2)
    return small_llama(tmp_path_factory.mktemp("llama") / "model", [known])


@pytest.fixture(scope="module")
def titan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_titan(tmp_path_factory.mktemp("titan") / "model")


def test_one_line_for_each_prompt_in_one_process(forge: Program, llama: Path) -> None:
    """A bare sum and a question without its cue are put as the model has learned them."""
    prompts = ["25 + 17", QUESTION, "Q: 25 + 17 = "]
    done = forge("chat", llama, *(part for prompt in prompts for part in ("--prompt", prompt)), "--json")
    assert done.code == 0, done
    assert done.err == ""
    assert [json.loads(line) for line in done.out.splitlines()] == [{"prompt": p, "text": "42"} for p in prompts]


@pytest.mark.slow
def test_in_a_terminal_it_answers_until_ctrl_d(forge: Program, llama: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "agentforge.cli", "chat", str(llama)]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=forge.environment)
    os.close(theirs)
    seen = read_until(ours, "> ")
    os.write(ours, b"25+17\n")
    seen += read_until(ours, "42")
    os.write(ours, b"q" * 100 + b"\n")  # longer than the context: told, and the talk goes on
    told = read_until(ours, "Shorten it.")
    seen += told + read_until(ours, "> ", already=told.partition("Shorten it.")[2])
    os.write(ours, b"\x04")
    assert process.wait(60) == 0, seen
    os.close(ours)
    assert "Traceback" not in seen


def read_until(descriptor: int, text: str, *, already: str = "", timeout: float = 60) -> str:
    """What comes until `text` has come; `already`: what was read before, which may hold it."""
    deadline, seen = time.monotonic() + timeout, ""
    while text not in already + seen:
        ready, _, _ = select.select([descriptor], [], [], max(0, deadline - time.monotonic()))
        assert ready, already + seen
        seen += os.read(descriptor, 4096).decode(errors="replace")
    return seen


def test_a_titan_speaks_without_the_code_in_its_directory(
    titan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, marker = tmp_path / "model", tmp_path / "ran"
    shutil.copytree(titan, model)
    for code in model.glob("*.py"):
        code.write_text(f"open({str(marker)!r}, 'w').close()\n")
    assert len(list(model.glob("*.py"))) == 4
    asked = ["--prompt", "25 + 17", "--max-new-tokens", "5", "--trust-remote-code"]
    assert app(["chat", str(model), *asked], standalone_mode=False) == 0
    assert capsys.readouterr().out
    assert not marker.exists()


def test_what_is_streamed_is_what_is_said(titan: Path) -> None:
    talker = Talker(load_model(titan), max_new_tokens=12)
    pieces: list[str] = []
    said = talker.say("25 + 17", pieces.append).text
    assert "".join(pieces) == said == talker.say(QUESTION).text
    assert len(pieces) > 1


def test_dice_are_seeded_by_prompt(titan: Path) -> None:
    loaded = load_model(titan)

    def twice(seed: int) -> list[str]:
        talker = Talker(loaded, max_new_tokens=12, temperature=1.0, seed=seed)
        return [talker.say("x").text, talker.say("x").text]

    assert twice(3) == twice(3) != twice(4)
    assert len(set(twice(3))) == 2


def test_other_prompts_and_other_tokenizers_stay_as_they_are(titan: Path) -> None:
    talker = Talker(load_model(titan))
    assert codec().text(talker.ids("def f(25 + 17)")) == "def f(25 + 17)"
    foreign = Talker(load_model(titan))
    tokenizer = foreign.loaded.tokenizer
    tokenizer.chat_template = "{% for m in messages %}<|user|>{{ m['content'] }}{% endfor %}<|assistant|>"
    assert codec().text(foreign.ids("25 + 17")) == "<|user|>25 + 17<|assistant|>"


def test_without_a_memory_it_sees_a_window_and_goes_on_beyond_it(tmp_path: Path) -> None:
    talker = Talker(load_model(small_titan(tmp_path / "m", sliding_window=8, **PLAIN)), max_new_tokens=20)
    assert isinstance(talker.say("a b").text, str)
    with pytest.raises(ForgeError) as caught:
        talker.ids("q" * 9)
    assert caught.value.reason == "PROMPT_TOO_LONG"


def rewrite(name: str, **fields: Any) -> Callable[[Path], None]:
    def spoil(directory: Path) -> None:
        path = directory / name
        path.write_text(json.dumps({**(json.loads(path.read_text()) if path.exists() else {}), **fields}))

    return spoil


def without(name: str) -> Callable[[Path], None]:
    return lambda directory: (directory / name).unlink()


def only_pickle(directory: Path) -> None:
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")


def cut_short(directory: Path) -> None:
    weights = directory / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def changed(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def spoil(directory: Path) -> None:
        tensors = load_file(directory / "model.safetensors")
        change(tensors)
        save_file(tensors, directory / "model.safetensors", {"format": "pt"})

    return spoil


def other_tokenizer(directory: Path) -> None:
    train_tokenizer((f"for x{n} in range ( {n} )" for n in range(99)), 290).save_pretrained(directory)


NORM = "model.norm.weight"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (shutil.rmtree, "MODEL_NOT_FOUND"),
        (without("config.json"), "NOT_A_MODEL"),
        (without("tokenizer.json"), "NO_TOKENIZER"),
        (without("model.safetensors"), "NO_WEIGHTS"),
        (only_pickle, "PICKLE_REFUSED"),
        (other_tokenizer, "TOKENIZER_MISMATCH"),
        (rewrite("training.json", tokenizer="0" * 64), "TOKENIZER_MISMATCH"),
        (rewrite("config.json", model_type="nobody"), "UNKNOWN_MODEL_TYPE"),
        (rewrite("config.json", model_type="nobody", auto_map={"AutoConfig": "a.B"}), "REMOTE_CODE_REFUSED"),
        (rewrite("tokenizer_config.json", auto_map={"AutoTokenizer": ["a.B", None]}), "REMOTE_CODE_REFUSED"),
        (rewrite("config.json", model_type="vit"), "WRONG_MODEL_TYPE"),
        (rewrite("config.json", hidden_size=48), "BROKEN_FILE"),
        (lambda directory: (directory / "config.json").write_text("{"), "BROKEN_FILE"),
        (lambda directory: (directory / "tokenizer.json").write_text("{"), "BROKEN_FILE"),
        (cut_short, "BROKEN_FILE"),
        (changed(lambda tensors: tensors.pop(NORM)), "WEIGHTS_INCOMPLETE"),
        (changed(lambda tensors: tensors[NORM].fill_(float("nan"))), "NOT_FINITE"),
    ],
)  # fmt: skip
def test_what_is_no_model_is_told(llama: Path, tmp_path: Path, spoil: Callable[[Path], None], reason: str) -> None:
    model = tmp_path / "model"
    shutil.copytree(llama, model)
    spoil(model)
    with pytest.raises(ForgeError) as caught:
        load_model(model)
    assert caught.value.reason == reason, caught.value


def test_a_directory_around_one_model_will_do_and_around_two_not(titan: Path, tmp_path: Path) -> None:
    shutil.copytree(titan, tmp_path / "output" / "one")
    assert load_model(tmp_path).directory == tmp_path / "output" / "one"
    shutil.copytree(titan, tmp_path / "output" / "two")
    with pytest.raises(ForgeError, match="output/two"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [(" \n", "EMPTY_PROMPT"), ("", "EMPTY_PROMPT"), ("q" * 64, "PROMPT_TOO_LONG"), ("\udcff", "NOT_TEXT")],
)
def test_what_cannot_be_asked_is_told(llama: Path, prompt: str, reason: str) -> None:
    with pytest.raises(ForgeError) as caught:
        Talker(load_model(llama)).ids(prompt)
    assert (caught.value.reason, caught.value.exit_code) == (reason, 2)


@pytest.mark.parametrize("temperature", [float("nan"), float("inf"), -1.0, 1e-9])
def test_no_temperature_that_overflows(llama: Path, temperature: float) -> None:
    with pytest.raises(ForgeError, match="temperature"):
        Talker(load_model(llama), temperature=temperature)


def test_without_torch_there_is_help_and_a_way_to_it(llama: Path, tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    absent.mkdir()
    (absent / "torch.py").write_text("raise ModuleNotFoundError('no torch', name='torch')\n")
    (tmp_path / "home").mkdir()
    forge = Program(tmp_path / "home", path=str(absent))
    shown = forge("--help")
    assert shown.code == 0, shown
    assert "chat" in shown.out
    refused = forge("chat", llama, "--prompt", "25 + 17", "--json")
    assert (refused.code, refused.error["reason"]) == (2, "MISSING_TOOL"), refused
    assert "agentforge[learn]" in refused.error["next_step"]
