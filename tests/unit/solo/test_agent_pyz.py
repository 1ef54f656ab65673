"""agent.pyz as somebody runs it who has it alone: a bare process, without what trained the model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentforge.codecs.model import load_compressed, save_compressed
from agentforge.codecs.spec import Spec
from agentforge.edge.solo.build import build
from agentforge.edge.solo.pack import PIECE
from agentforge.kit.errors import DataLoss, FailedPrecondition, InvalidInput
from agentforge.models.ternary.convert import convert
from tests import pico

PROMPTS = ["Q: 1 + 2 = A:", "é <|tool|>"]
# Stands where Python looks for modules first: whatever asks for these fails.
BLOCKED = ("torch", "onnxruntime", "tokenizers", "transformers", "safetensors", "agentforge")


def model_directory(place: Path) -> Path:
    model = pico.with_noise(pico.titan(num_hidden_layers=2, persistent_tokens=2), 3)
    convert(model)
    save_compressed(place, model, {"embed_tokens.weight": Spec("grid", {"bits": 8, "group": 32})})
    pico.tokenizer().save_pretrained(place)
    return place


def told_by_pytorch(directory: Path, prompts: list[str]) -> list[str]:
    """What the compressed model answers, 12 tokens at most, by its own generate."""
    import torch

    model, tokenizer = load_compressed(directory), pico.tokenizer()
    found = []
    for prompt in prompts:
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        with torch.no_grad():
            said = model.generate(ids, max_new_tokens=12, do_sample=False, eos_token_id=1, pad_token_id=2)
        new = [each for each in said[0, ids.shape[1] :].tolist() if each != 1]
        found.append(tokenizer.backend_tokenizer.decode(new, skip_special_tokens=False))
    return found


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_directory(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def answers(directory: Path) -> list[str]:
    return told_by_pytorch(directory, PROMPTS)


@pytest.fixture(scope="module")
def built(directory: Path, answers: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("built") / "agent.pyz"
    return build(directory, target, golden=list(zip(PROMPTS, answers, strict=True)))


def ran(file: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """With numpy and nothing else of what is installed here."""
    numpy = Path(np.__path__[0])
    code = "import runpy, sys\n"
    code += f"for name in {BLOCKED!r}: sys.modules[name] = None\n"
    code += f"sys.path.append({str(numpy.parent)!r}); sys.argv[:] = sys.argv[1:]\n"
    code += "runpy.run_path(sys.argv[0], run_name='__main__')"
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(file), *arguments],
        input=given, capture_output=True, text=True, timeout=60, env={"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def test_greedy_answers_are_pytorchs(built: Path, answers: list[str]) -> None:
    arguments = [each for prompt in PROMPTS for each in ("--prompt", prompt)]
    done = ran(built, *arguments, "--json", "--max-tokens", "12")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines == [{"prompt": prompt, "text": text} for prompt, text in zip(PROMPTS, answers, strict=True)]


def test_it_verifies_itself(built: Path) -> None:
    done = ran(built, "--verify", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["passed"]
    assert report["golden"]["equal"] == report["golden"]["prompts"] == len(PROMPTS)
    assert report["files"] > 20


def test_as_a_file_that_runs_by_itself(built: Path, answers: list[str]) -> None:
    """`python3 agent.pyz`, as it is told to be run, and by its first line."""
    assert os.access(built, os.X_OK)
    assert built.read_bytes().startswith(b"#!/usr/bin/env python3\n")
    command = [sys.executable, "-I", str(built), "--prompt", PROMPTS[0], "--max-tokens", "12"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, answers[0] + "\n")


def test_json_lines(built: Path, answers: list[str]) -> None:
    drawn = {"prompt": "a", "temperature": 1, "seed": 5, "max_tokens": 4}
    asked: list[Any] = [{"prompt": PROMPTS[1]}, drawn, drawn, {"prompt": "a", "max_tokens": 0}, {"x": 1}, "\ud800"]
    done = ran(
        built, "--serve-stdin", "--max-tokens", "12", given="".join(json.dumps(each) + "\n" for each in asked)
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, drawn_one, drawn_two, few, strange, no_object = map(json.loads, done.stdout.splitlines())
    assert first == {"prompt": PROMPTS[1], "text": answers[1]}
    assert drawn_one == drawn_two
    assert few == {"prompt": "a", "error": "max_tokens must be 1 or more, not 0"}
    assert "a string" in strange["error"]
    assert "a string" in no_object["error"]


def test_a_conversation(built: Path, answers: list[str]) -> None:
    done = ran(built, "--max-tokens", "12", given=f"{PROMPTS[0]}\n\n{PROMPTS[0]}\n+ and\n")
    assert (done.returncode, done.stderr) == (0, "")
    alone = answers[0] + "\n"
    assert done.stdout.startswith(alone * 2)  # each a question of its own
    assert done.stdout[2 * len(alone) :].strip()


def test_what_it_says_of_itself(built: Path) -> None:
    shown = json.loads(ran(built, "--info", "--json").stdout)
    assert shown["float32_bytes"] == 4 * shown["parameters"]
    assert set(shown["weights_by_codec"]) == {"float", "grid", "ternary"}
    assert ran(built, "--temperature", "-1").returncode == 2


def test_same_bytes_twice(directory: Path, built: Path, answers: list[str], tmp_path: Path) -> None:
    again = build(directory, tmp_path / "other.pyz", golden=list(zip(PROMPTS, answers, strict=True)))
    assert again.read_bytes() == built.read_bytes()


def damaged(data: bytes, file: Path) -> subprocess.CompletedProcess[str]:
    file.write_bytes(data)
    return subprocess.run([sys.executable, "-I", str(file), "--info"], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("lost", [1, 100, 3_000, 30_000])
def test_a_cut_file_is_refused(built: Path, tmp_path: Path, lost: int) -> None:
    done = damaged(built.read_bytes()[:-lost], tmp_path / "agent.pyz")
    assert (done.returncode, done.stdout) == (2, "")
    assert "is damaged: a part of it is missing or was changed" in done.stderr


@pytest.mark.parametrize("place", ["codecs/entropy.py", "model.forge/000", "golden.json/000"])
def test_a_flipped_bit_is_refused(built: Path, tmp_path: Path, place: str) -> None:
    data = bytearray(built.read_bytes())
    with zipfile.ZipFile(built) as archive:
        entry = next(each for each in archive.infolist() if each.filename.endswith(place))
    data[entry.header_offset + 30 + len(entry.filename) + entry.compress_size // 2] ^= 4
    done = damaged(bytes(data), tmp_path / "agent.pyz")
    assert (done.returncode, done.stdout) == (2, "")
    assert "is damaged" in done.stderr


def test_pieces_are_near_enough_for_cuts_to_be_seen(tmp_path: Path) -> None:
    from agentforge.edge.solo.pack import pack

    data = np.random.default_rng(0).bytes(5 * PIECE)
    whole = pack({}, {"model.forge": data}, "model.forge")
    with zipfile.ZipFile(shutil.copy(_written(tmp_path / "a.pyz", whole), tmp_path / "b.pyz")) as archive:
        assert b"".join(archive.read(f"model.forge/{number:03}") for number in range(5)) == data
        assert archive.testzip() is None
    for lost in range(10_000, len(whole) - 2_000, 61_003):
        assert damaged(whole[:-lost], tmp_path / "a.pyz").returncode == 2


def _written(file: Path, data: bytes) -> Path:
    file.write_bytes(data)
    return file


def test_an_answer_that_differs_is_refused(directory: Path, tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match="1 of 1 golden prompts otherwise"):
        build(directory, tmp_path / "agent.pyz", golden=[(PROMPTS[0], "something else")])
    assert not (tmp_path / "agent.pyz").exists()


def test_broken_and_foreign_directories_are_refused(directory: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(directory, tmp_path / "own"))
    data = bytearray((own / "model.forge").read_bytes())
    data[len(data) // 2] ^= 1
    (own / "model.forge").write_bytes(data)
    with pytest.raises(DataLoss, match=r"model\.forge"):
        build(own, tmp_path / "agent.pyz")
    own = Path(shutil.copytree(directory, tmp_path / "foreign"))
    config = json.loads((own / "config.json").read_text())
    (own / "config.json").write_text(json.dumps({**config, "persistent_tokens": 0}))
    with pytest.raises(InvalidInput, match=r"would leave out: persistent"):
        build(own, tmp_path / "agent.pyz")
