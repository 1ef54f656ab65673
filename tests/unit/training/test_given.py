"""Bad text and tokens are refused before a run begins: what is wrong, where, and the way out; without torch."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from agentforge.data.prepare import prepare_tokens
from agentforge.kit.config import validate_config
from agentforge.kit.errors import InvalidInput, Violation
from agentforge.kit.inputs import InputPath
from agentforge.phase5_training.configs.data import TEXT, TOKENS, DataConfig
from agentforge.phase5_training.given import check_given
from tests import pico
from tests.unit.cognate.corpora import BAD as BAD_CORPORA
from tests.unit.data.helpers import ListSource
from tests.unit.training import brought
from tests.unit.training.brought import CODEC, STORIES

Maker = Callable[[Path], Any]


def check(
    corpus: Path | None = None, tokens: Path | None = None, model: Path | None = None, **fields: Any
) -> list[Violation]:
    given = {"corpus": corpus, "tokens": tokens, "model": model}
    inputs = [InputPath(kind, kind, path, "") for kind, path in given.items() if path is not None]
    return check_given(DataConfig(**{"length": pico.WINDOW, **fields}), inputs)


def save(name: str, array: Any, cut: int = 0) -> Maker:
    def make(place: Path) -> None:
        np.save(place / name, array)
        raw = (place / name).read_bytes()
        (place / name).write_bytes(raw[: len(raw) - cut])

    return make


def hdf5(name: str, array: Any) -> Maker:
    def make(place: Path) -> None:
        with h5py.File(place / "a.h5", "w") as file:
            file[name] = array

    return make


def content(name: str, raw: bytes) -> Maker:
    return lambda place: (place / name).write_bytes(raw)


def part_of(*numbers: int) -> Maker:
    def make(place: Path) -> None:
        for number in numbers:
            np.save(place / f"web-{number:05d}-of-00004.npy", brought.TOKENS)

    return make


def prepared(spoil: Callable[[Path], object]) -> Maker:
    """A folder that prepare_tokens made, with something that happened to it since."""

    def make(place: Path) -> None:
        prepare_tokens([ListSource(STORIES)], CODEC, place, shard_tokens=5_000)
        spoil(place)

    return make


def first(place: Path) -> Path:
    return place / "train" / "shard-00000.npy"


def escape(place: Path) -> None:
    manifest = json.loads((place / "tokens.json").read_text())
    manifest["splits"]["train"]["shards"][0]["file"] = "../other.npy"
    (place / "tokens.json").write_text(json.dumps(manifest))


BAD_TOKENS: dict[str, tuple[Maker, str, str]] = {
    "nothing": (lambda place: None, "EMPTY_CORPUS", "nothing to read"),
    "text": (content("a.txt", b"text"), "EMPTY_CORPUS", "nothing to read"),
    "odd bytes": (content("a.bin", b"abc"), "BROKEN_FILE", "a.bin cannot be read"),
    "no bytes": (content("a.bin", b""), "BROKEN_FILE", "a.bin cannot be read"),
    "llm.c's, cut short": (lambda p: brought.llm_c(p / "a.bin", 3_000, 4_000), "BROKEN_FILE", "says 4,000 tokens"),
    "npy, cut short": (save("a.npy", brought.TOKENS, cut=10), "BROKEN_FILE", "a.npy cannot be read"),
    "npy of objects": (save("a.npy", np.array([{}], object)), "BROKEN_FILE", "a.npy cannot be read"),
    "no npy": (content("a.npy", b"junk"), "BROKEN_FILE", "a.npy cannot be read"),
    "npy of two dimensions": (
        save("a.npy", np.zeros((9, 9), int)),
        "WRONG_SHAPE",
        "a.npy is int64 of shape (9, 9)",
    ),
    "npy of fractions": (save("a.npy", np.zeros(99)), "WRONG_SHAPE", "a.npy is float64 of shape (99,)"),
    "no HDF5": (content("a.h5", b"junk"), "BROKEN_FILE", "a.h5 cannot be read"),
    "HDF5 of two dimensions": (
        hdf5("tokens", np.zeros((3, 4), int)),
        "WRONG_SHAPE",
        "a.h5 is int64 of shape (3, 4)",
    ),
    "HDF5 of another name": (hdf5("ids", brought.TOKENS), "NO_FIELD", "a.h5 has no field 'tokens'"),
    "HDF5 group": (lambda p: h5py.File(p / "a.h5", "w").create_group("tokens").file.close(), "NO_FIELD", "a.h5"),
    "pickle": (content("a.pkl", pickle.dumps(brought.TOKENS)), "PICKLE_REFUSED", "a.pkl is a pickle"),
    "too few": (save("a.npy", brought.TOKENS[:9_000]), "CORPUS_TOO_SMALL", "not one row of 48"),
    "another vocabulary": (save("a.npy", brought.TOKENS + 9), "TOKENIZER_MISMATCH", "a.npy holds the token 28"),
    "below zero": (save("a.npy", brought.TOKENS - 1), "TOKENIZER_MISMATCH", "a.npy holds the token -1"),
    "a part is missing": (part_of(0, 1, 3), "SHARDS_MISSING", "web has 3 of 4 shards"),
    "a shard is missing": (prepared(lambda p: first(p).unlink()), "SHARD_BROKEN", "shard-00000.npy is missing"),
    "a shard is another": (
        prepared(lambda p: np.save(first(p), np.arange(9))),
        "SHARD_BROKEN",
        "has 9 tokens, not",
    ),
    "a shard is cut": (prepared(lambda p: first(p).write_bytes(b"junk")), "BROKEN_FILE", "cannot be read"),
    "a shard elsewhere": (prepared(escape), "SHARD_BROKEN", "is not inside the folder"),
    "no record": (prepared(lambda p: (p / "tokens.json").write_text("{}")), "BROKEN_FILE", "no record of token"),
    "half a record": (prepared(lambda p: (p / "tokens.json").write_text("{")), "BROKEN_FILE", "tokens.json is not"),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pico.save(pico.titan(), tmp_path_factory.mktemp("given") / "model")


@pytest.mark.parametrize("name", BAD_TOKENS)
def test_bad_tokens(tmp_path: Path, model: Path, name: str) -> None:
    make, reason, named = BAD_TOKENS[name]
    make(tmp_path)
    found = check(tokens=tmp_path, model=model)
    assert {(each.field, each.reason) for each in found} == {("inputs.tokens", reason)}
    assert named in found[0].message
    assert found[0].next_step or name == "half a record"


@pytest.mark.parametrize("name", sorted(BAD_CORPORA.keys() - {"nothing", "pipe", "link out of the volume"}))
def test_bad_text_as_in_phase_1(tmp_path: Path, name: str) -> None:
    make, reason, named = BAD_CORPORA[name]
    make(tmp_path)
    found = check(corpus=tmp_path)
    assert {(each.field, each.reason) for each in found} == {("inputs.corpus", reason)}
    assert any(named.removeprefix("1 too_short") in each.message for each in found)
    assert all(each.next_step for each in found)


def test_broken_lines_up_to_the_limit(tmp_path: Path) -> None:
    brought.jsonl(tmp_path / "a.jsonl", ["{", "[", *brought.records()])
    assert not check(corpus=tmp_path, broken_lines=2)
    [found] = check(corpus=tmp_path, broken_lines=1)
    assert found.reason == "TOO_MANY_BROKEN_LINES"
    assert "a.jsonl, byte 2" in found.message
    assert "data.broken_lines" in found.next_step


def test_pickles_only_where_allowed(tmp_path: Path, model: Path) -> None:
    corpus, tokens = brought.corpora(tmp_path / "c")[".pkl"], brought.shards(tmp_path / "t")[".pkl"]
    found = check(corpus, tokens, model)
    assert [each.field for each in found] == ["inputs.corpus", "inputs.tokens"]
    assert all("data.allow_pickle" in each.next_step for each in found)
    assert not check(corpus, tokens, model, allow_pickle=True)


def test_every_format_and_prepared_tokens_pass(tmp_path: Path, model: Path) -> None:
    for path in brought.corpora(tmp_path / "c").values():
        assert not check(corpus=path, allow_pickle=True)
    for path in brought.shards(tmp_path / "t").values():
        assert not check(tokens=path, model=model, allow_pickle=True)
    (tmp_path / "p").mkdir()
    prepared(lambda place: None)(tmp_path / "p")
    assert not check(tokens=tmp_path / "p", model=model)
    (tmp_path / "whole").mkdir()
    part_of(0, 1, 2, 3)(tmp_path / "whole")
    assert not check(tokens=tmp_path / "whole", model=model)


def test_fields_by_another_name(tmp_path: Path) -> None:
    corpus = brought.jsonl(tmp_path / "a.jsonl", brought.records(field="body"))
    assert check(corpus=corpus)
    assert not check(corpus=corpus, text_field="body")
    hdf5("ids", brought.TOKENS)(tmp_path)
    assert not check(tokens=tmp_path / "a.h5", token_field="ids")


@pytest.mark.parametrize(
    ("mix", "given", "reason", "named"),
    [
        ({"arithmetic": 1.0, "text": 1.0}, [], "NOT_GIVEN", "names text, and no corpus"),
        ({"tokens": 1.0}, [TEXT], "NOT_GIVEN", "names tokens, and no tokens"),
        ({"arithmetic": 1.0, "text": 0.0}, [TEXT], "NOT_USED", "text was given"),
        ({"text": 1.0, "tokens": 0.0}, [TEXT, TOKENS], "NOT_USED", "tokens was given"),
    ],
)
def test_what_is_mixed_is_given(tmp_path: Path, mix: Any, given: list[str], reason: str, named: str) -> None:
    corpus = brought.corpora(tmp_path / "c")[".jsonl"] if TEXT in given else None
    tokens = brought.shards(tmp_path / "t")[".npy"] if TOKENS in given else None
    [found] = check(corpus, tokens, mix=mix)
    assert (found.field, found.reason) == ("data.mix", reason)
    assert named in found.message


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"mix": {"poetry": 1}}, "mix"),
        ({"mix": {"arithmetic": -1}}, "mix"),
        ({"mix": {"arithmetic": 0}}, "mix"),
        ({"mix": {"arithmetic": 1e308, "recall": 1e308}}, "mix"),
        ({"mix": {"chain": 1}}, "mix"),
        ({"families": {"arithmetic": []}, "mix": {"recall_drill": 1}}, "mix"),
        ({"text_length": 4_097}, "text_length"),
        ({"broken_lines": -1}, "broken_lines"),
        ({"open_shards": 0}, "open_shards"),
    ],
)
def test_bad_settings(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        validate_config(DataConfig, values)
    assert caught.value.field == field


def test_weights() -> None:
    names = ["arithmetic", "nested", "recall"]
    assert DataConfig().weights(set()) == dict.fromkeys(names, 1.0)
    assert DataConfig().weights({TEXT, TOKENS}) == dict.fromkeys([*names, TEXT, TOKENS], 1.0)
    mix = {"text": 2.0, "nested_drill": 0.5, "recall": 0.0}
    assert DataConfig(mix=mix).weights({TEXT}) == {"nested_drill": 0.5, "text": 2.0}
    assert DataConfig(mix=mix).weights({TEXT, TOKENS}) == {"nested_drill": 0.5, "text": 2.0, "tokens": 1.0}


def test_none_of_it_needs_torch() -> None:
    code = "import sys, agentforge.phase5_training.given; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
