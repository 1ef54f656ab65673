"""A tokenizer that is not the model's own: chat and eval refuse it, and say what to put in its place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from agentforge.data.tokenizer import SMALLEST_VOCABULARY, tokenizer_digest, train_tokenizer
from agentforge.kit.errors import ForgeError
from agentforge.models import TitanConfig, TitanForCausalLM
from agentforge.train.loading import load_model
from tests.unit.cli.program import Program

OWN = SMALLEST_VOCABULARY + 4


def write_tokenizer(directory: Path, words: str, vocabulary: int) -> str:
    """Its digest."""
    tokenizer = train_tokenizer([f"{words} " * 9], vocabulary)
    tokenizer.save_pretrained(directory)
    return tokenizer_digest(tokenizer)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory like those that Cognate makes."""
    directory = tmp_path_factory.mktemp("models") / "reasoning"
    shape = TitanConfig.preset(
        "tiny", vocab_size=OWN, num_hidden_layers=1, memory=False, recursion=False, act=False
    )
    TitanForCausalLM(shape).save_pretrained(directory)
    digest = write_tokenizer(directory, "find this number", OWN)
    (directory / "training.json").write_text(json.dumps({"tokenizer": digest}))
    return directory


def absent(directory: Path) -> None:
    for file in directory.glob("tokenizer*"):
        file.unlink()


def record_of_another(directory: Path) -> None:
    (directory / "training.json").write_text(json.dumps({"tokenizer": "0" * 64}))


BAD: list[tuple[Callable[[Path], object], str, str]] = [
    (lambda place: write_tokenizer(place, "find this number", OWN + 4), "TOKENIZER_MISMATCH", "288 tokens"),
    (lambda place: write_tokenizer(place, "what else was said", OWN), "TOKENIZER_MISMATCH", "is not the one of"),
    (lambda place: write_tokenizer(place, "find", OWN - 2), "TOKENIZER_MISMATCH", "is not the one of"),
    (record_of_another, "TOKENIZER_MISMATCH", "000000000000"),
    (absent, "NO_TOKENIZER", "tokenizer.json"),
]


def spoiled(model: Path, place: Path, spoil: Callable[[Path], object]) -> Path:
    shutil.copytree(model, place)
    spoil(place)
    return place


@pytest.mark.parametrize(("spoil", "reason", "said"), BAD)
def test_it_is_told_from_the_models_own(
    model: Path, tmp_path: Path, spoil: Callable[[Path], object], reason: str, said: str
) -> None:
    assert load_model(model).tokenizer is not None
    with pytest.raises(ForgeError) as caught:
        load_model(spoiled(model, tmp_path / "model", spoil))
    assert (caught.value.reason, caught.value.exit_code) == (reason, 2)
    assert said in caught.value.message
    assert caught.value.next_step


@pytest.mark.slow
@pytest.mark.parametrize("command", [["chat", "--prompt", "2 + 3"], ["eval", "--items", "5"]])
@pytest.mark.parametrize(("spoil", "reason", "said"), BAD)
def test_chat_and_eval_exit_with_2(
    model: Path, tmp_path: Path, command: list[str], spoil: Callable[[Path], object], reason: str, said: str
) -> None:
    (tmp_path / "home").mkdir()
    forge = Program(tmp_path / "home", pipeline="agentforge.pipeline")
    name, *options = command
    result = forge(name, spoiled(model, tmp_path / "model", spoil), *options, "--json")
    assert (result.code, result.error["reason"], result.out) == (2, reason, ""), result
    assert said in result.error["message"]
