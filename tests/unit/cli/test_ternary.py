"""`agentforge chat` and `agentforge eval` on ternary models: by the fastest that says the same, which is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from agentforge.cli.app import app
from agentforge.data.splits import Split
from agentforge.models.ternary import record
from agentforge.models.ternary.convert import convert
from agentforge.models.ternary.kernels import chosen
from agentforge.models.ternary.packed import save_packed
from agentforge.models.thoughts.sampling import Sampling
from agentforge.models.thoughts.saving import save_thinker
from agentforge.models.thoughts.thinker import Habits, Thinker
from agentforge.models.thoughts.tokens import find_marks
from agentforge.train import examine
from tests import pico
from tests.unit.cli.program import Program

ASK = ("--prompt", "Q: copy ab A:", "--prompt", "12 + 7", "--max-new-tokens", "12")
EVAL = ("--family", "copy", "--items", "8", "--json")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`latents` and `packed` of one model, `thinking` of it with thoughts at every step."""
    torch.set_num_threads(1)
    place, model = tmp_path_factory.mktemp("made"), pico.titan(num_hidden_layers=2)
    convert(model)
    pico.trained(model, [("copy", 2)], 40, seed=1)
    for name in ("latents", "thinking"):
        record.save(place / name, model)
    save_packed(place / "packed", model)
    for name in ("latents", "packed", "thinking"):
        pico.tokenizer().save_pretrained(place / name)
    save_thinker(place / "thinking", _thinker(model), {})
    return place


def _thinker(model: Any) -> Thinker:
    return Thinker(model, find_marks(pico.tokenizer()), Habits(Sampling(2, 3), 2, threshold=0.0))


def two_texts() -> list[str]:
    """Instead of the hundreds that eval reads."""
    return list(examine.library_texts(Split.TEST, 2))


Told = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Told:
    """The JSON lines of a command, in this process; of the texts that eval reads, two."""
    monkeypatch.setattr(examine, "held_out_texts", two_texts)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    torch.set_num_threads(1)

    def run(command: str, *args: str | Path, kernel: str = "") -> list[dict[str, Any]]:
        with monkeypatch.context() as patch:
            patch.setenv("AGENTFORGE_KERNEL", kernel)
            assert app([command, *map(str, args)], standalone_mode=False) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


@pytest.mark.parametrize(
    ("name", "engine"), [("packed", "decoder"), ("latents", "decoder"), ("thinking", "kernel")]
)
@pytest.mark.parametrize("options", [(), ("--temperature", "1", "--seed", "5")], ids=["greedy", "dice"])
def test_chat_says_what_plain_torch_says_and_tells_who_said_it(
    told: Told, made: Path, name: str, engine: str, options: tuple[str, ...]
) -> None:
    fast = told("chat", made / name, *ASK, *options, "--json")
    plain = told("chat", made / name, *ASK, *options, "--json", kernel="torch")
    assert [line.pop("engine") for line in fast] == [f"{engine}/{chosen()}"] * 2
    assert [line.pop("engine") for line in plain] == ["torch"] * 2
    assert fast == plain
    assert fast[0]["text"] != fast[1]["text"]


def test_a_thinker_that_does_not_think_needs_no_layers_of_torch(told: Told, made: Path) -> None:
    place = made / "packed"
    habits, head = (made / "thinking" / name for name in ("quietstar.json", "mixing_head.safetensors"))
    thinks = place.with_name("both")
    thinks.mkdir()
    for file in (*place.iterdir(), habits, head):
        (thinks / file.name).write_bytes(file.read_bytes())
    assert told("chat", thinks, *ASK, "--json")[0]["engine"].startswith("kernel/")
    silent = told("chat", thinks, *ASK, "--no-thoughts", "--json")
    assert silent == told("chat", place, *ASK, "--json")
    assert silent[0]["engine"].startswith("decoder/")


@pytest.mark.parametrize("name", ["packed", "latents"])
def test_eval_gives_the_numbers_of_plain_torch_by_the_kernels(told: Told, made: Path, name: str) -> None:
    (fast,), (plain,) = (told("eval", made / name, *EVAL, kernel=kernel) for kernel in ("", "torch"))
    assert (fast.pop("engine"), plain.pop("engine")) == (f"kernel/{chosen()}", "torch")
    assert fast == plain
    assert fast["parameters"] == pico.titan(num_hidden_layers=2).num_parameters()


def test_people_are_told_on_stderr(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(examine, "held_out_texts", two_texts)
    assert app(["eval", str(made / "packed"), *EVAL[:-1]], standalone_mode=False) == 0
    printed = capsys.readouterr()
    assert f"ternary layers computed by kernel/{chosen()}" in printed.err
    assert "kernel" not in printed.out


def test_without_a_compiler_it_is_said_once_and_plain_torch_answers(
    forge: Program, told: Told, made: Path, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    forge.environment["PATH"] = str(tmp_path / "bin")
    done = forge("chat", made / "packed", *ASK, "--json")
    assert done.code == 0, done
    assert done.err.count("plain torch, many times slower") == done.err.count("\n") == 1
    assert [json.loads(line) for line in done.out.splitlines()] == told(
        "chat", made / "packed", *ASK, "--json", kernel="torch"
    )
