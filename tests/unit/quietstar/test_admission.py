"""Models that cannot be taught to think are refused before a run begins: from their files, without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentforge.data.tokenizer import THOUGHT_CLOSE, THOUGHT_OPEN, load_tokenizer
from agentforge.kit.config import validate_config
from agentforge.kit.errors import InvalidInput, Violation
from agentforge.kit.inputs import InputPath
from agentforge.models.thoughts.room import LARGEST_VOCABULARY
from agentforge.models.thoughts.tokens import add_marks
from agentforge.phase3_quietstar.admission import check
from agentforge.phase3_quietstar.config import QuietStarConfig
from tests import pico

Change = Callable[[Path], object]
LONG = pico.WINDOW - 2  # with its marks a thought fills the window


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("sound")
    pico.save(pico.titan(), home / "titan")
    pico.save(pico.llama(), home / "llama")
    return home


def found(directory: Path, length: int = 8, rows: int = 16, ahead: int = 4) -> list[Violation]:
    values: dict[str, Any] = {"sampling": {"length": length}, "data": {"length": rows}, "ahead": ahead}
    config = validate_config(QuietStarConfig, values)
    return check(config, [InputPath("mine", "model", directory, "")])


def changed(sound: Path, base: str, place: Path, change: Change) -> Path:
    shutil.copytree(sound / base, place)
    change(place)
    return place


def described(file: str, **fields: Any) -> Change:
    def change(place: Path) -> None:
        old = json.loads((place / file).read_text()) if (place / file).exists() else {}
        (place / file).write_text(json.dumps(old | fields))

    return change


def cut(file: str) -> Change:
    return lambda place: (place / file).write_bytes((place / file).read_bytes()[:-20])


def nothing_done(place: Path) -> None:
    """The model as it is."""


def without(file: str) -> Change:
    return lambda place: (place / file).unlink()


def words(*more: str, count: int = 3, special: tuple[str, ...] = (), **settings: Any) -> Change:
    """A tokenizer of `count` words, `more` among them."""
    vocabulary = [*more, *(f"w{number}" for number in range(count - len(more)))]
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    state = {
        "version": "1.0",
        "added_tokens": [
            {"id": vocabulary.index(mark), "content": mark, "special": True, **flags} for mark in special
        ],
        "model": {
            "type": "WordLevel",
            "vocab": {word: number for number, word in enumerate(vocabulary)},
            "unk_token": "w0",
        },
    }

    def change(place: Path) -> None:
        (place / "tokenizer.json").write_text(json.dumps(state))
        own = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "w0", **settings}
        (place / "tokenizer_config.json").write_text(json.dumps(own))

    return change


def renamed(old: str, new: str) -> Change:
    """In config.json."""

    def change(place: Path) -> None:
        fields = json.loads((place / "config.json").read_text())
        fields[new] = fields.pop(old)
        (place / "config.json").write_text(json.dumps(fields))

    return change


def pickled(place: Path) -> None:
    (place / "model.safetensors").rename(place / "pytorch_model.bin")


def ternary(place: Path) -> None:
    (place / "ternary.json").write_text("{}")


def nothing(place: Path) -> None:
    shutil.rmtree(place)
    place.mkdir()


def old_style(place: Path) -> None:
    """Names of special tokens in a file of their own, as transformers wrote them before its version 5."""
    words(THOUGHT_OPEN, special=(THOUGHT_OPEN,))(place)
    (place / "tokenizer_config.json").write_text("{}")
    (place / "special_tokens_map.json").write_text(json.dumps({"eos_token": {"content": THOUGHT_OPEN}}))


TAKEN: dict[str, Change] = {
    "ordinary": words(THOUGHT_OPEN),
    "ordinary end mark": words(THOUGHT_OPEN, THOUGHT_CLOSE, special=(THOUGHT_OPEN,)),
    "it ends texts": words(THOUGHT_CLOSE, special=(THOUGHT_CLOSE,), eos_token=THOUGHT_CLOSE),
    "it pads, as an object": words(
        THOUGHT_OPEN, special=(THOUGHT_OPEN,), pad_token={"content": THOUGHT_OPEN, "__type": "AddedToken"}
    ),
    "it ends texts, old files": old_style,
}

# name: (model, what is done to it, the request, field, reason, what the message must name)
BAD: dict[str, tuple[str, Change, dict[str, int], str, str, str]] = {
    "empty": ("titan", nothing, {}, "inputs.mine", "NOT_A_MODEL", "config.json"),
    "broken config": ("titan", cut("config.json"), {}, "inputs.mine", "BROKEN_FILE", "config.json"),
    "of no type": ("llama", renamed("model_type", "kind"), {}, "inputs.mine", "UNKNOWN_MODEL_TYPE", "model_type"),
    "pickle": ("llama", pickled, {}, "inputs.mine", "PICKLE_REFUSED", "pytorch_model.bin"),
    "ternary": ("llama", ternary, {}, "inputs.mine", "TERNARY_MODEL", "latents"),
    "no weights": ("llama", without("model.safetensors"), {}, "inputs.mine", "NO_WEIGHTS", "safetensors"),
    "no tokenizer": ("titan", without("tokenizer.json"), {}, "inputs.mine", "NO_TOKENIZER", "tokenizer.json"),
    "broken tokenizer": ("titan", cut("tokenizer.json"), {}, "inputs.mine", "BROKEN_FILE", "cannot be read"),
    "broken settings": (
        "titan", cut("tokenizer_config.json"), {}, "inputs.mine", "BROKEN_FILE", "tokenizer_config.json",
    ),
    "code": (
        "llama", described("tokenizer_config.json", auto_map={}), {}, "inputs.mine", "REMOTE_CODE_REFUSED",
        "tokenizer_config.json",
    ),
    **{
        f"taken: {name}": ("llama", change, {}, "inputs.mine", "THOUGHT_TOKEN_TAKEN", "ofthought|> is")
        for name, change in TAKEN.items()
    },
    "no room for one": (
        "llama", words(count=LARGEST_VOCABULARY - 1), {}, "inputs.mine", "VOCABULARY_FULL", "65,535 tokens of",
    ),
    "short rows": ("titan", nothing_done, {"rows": 9}, "sampling.length", "SEQUENCE_TOO_SHORT", "rows of 9 tokens"),
    "window": (
        "titan", nothing_done, {"length": LONG, "rows": 99}, "sampling.length", "THOUGHT_TOO_LONG", "window of 48",
    ),
    "another's window": (
        "llama", described("config.json", model_type="mistral", sliding_window=10), {}, "sampling.length",
        "THOUGHT_TOO_LONG", "window of 10",
    ),
    "positions": ("llama", nothing_done, {"rows": 51}, "data.length", "SEQUENCE_TOO_LONG", "reach 65 positions"),
    "GPT-2's positions": (
        "llama", renamed("max_position_embeddings", "n_positions"), {"rows": 51}, "data.length",
        "SEQUENCE_TOO_LONG", "has 64",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_models_and_requests_are_refused(sound: Path, tmp_path: Path, name: str) -> None:
    base, change, request, field, reason, words = BAD[name]
    (violation,) = found(changed(sound, base, tmp_path / "it", change), **request)
    assert (violation.field, violation.reason) == (field, reason)
    assert words in violation.message


GOOD: dict[str, tuple[str, Change, dict[str, int]]] = {
    "titan": ("titan", nothing_done, {}),
    "titan sees everything": (
        "titan", described("config.json", sliding_window=None), {"length": LONG, "rows": 999},
    ),
    "the longest thought": ("titan", nothing_done, {"length": LONG - 1, "rows": LONG + 1}),
    "llama, all its positions": ("llama", nothing_done, {"rows": 50}),
    "windows of some layers": (
        "llama",
        described("config.json", sliding_window=10, layer_types=["sliding_attention", "full_attention"]),
        {},
    ),
    "a window that is off": ("llama", described("config.json", sliding_window=10, use_sliding_window=False), {}),
    "new marks": ("llama", words(), {}),
    "room for two": ("llama", words(count=LARGEST_VOCABULARY - 2), {}),
    "no limit any more": ("llama", words(count=LARGEST_VOCABULARY + 1), {}),
    "full, with both": (
        "llama",
        words(THOUGHT_OPEN, THOUGHT_CLOSE, count=LARGEST_VOCABULARY, special=(THOUGHT_OPEN, THOUGHT_CLOSE)),
        {},
    ),
    "special by its settings": ("llama", words(THOUGHT_OPEN, additional_special_tokens=[THOUGHT_OPEN]), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_what_can_think_is_taken(sound: Path, tmp_path: Path, name: str) -> None:
    base, change, request = GOOD[name]
    assert found(changed(sound, base, tmp_path / "it", change), **request) == []


@pytest.mark.parametrize("name", TAKEN)
def test_the_phase_itself_would_say_the_same_of_a_mark(sound: Path, tmp_path: Path, name: str) -> None:
    place = changed(sound, "llama", tmp_path / "it", TAKEN[name])
    with pytest.raises(InvalidInput) as caught:
        add_marks(load_tokenizer(place), pico.llama())
    assert [each.message for each in found(place)] == [caught.value.message]


def test_all_that_is_wrong_is_told_at_once(sound: Path, tmp_path: Path) -> None:
    place = changed(sound, "llama", tmp_path / "it", pickled)
    without("tokenizer.json")(place)
    told = [each.reason for each in found(place, length=60, rows=60)]
    assert told == ["PICKLE_REFUSED", "NO_TOKENIZER", "SEQUENCE_TOO_SHORT", "SEQUENCE_TOO_LONG"]


def test_a_service_asks_without_torch(sound: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from agentforge.kit.inputs import InputPath
from agentforge.phase3_quietstar.admission import check
from agentforge.phase3_quietstar.config import QuietStarConfig
assert check(QuietStarConfig(), [InputPath("mine", "model", Path({str(sound / "titan")!r}), "")]) == []
sys.exit("torch" in sys.modules or "transformers" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
