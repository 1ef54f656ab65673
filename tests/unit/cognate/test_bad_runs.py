"""What only the run itself can find, and how all of it looks to who types it: exit codes, last lines, no output."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.program import Program, Result
from tests.unit.cognate.corpora import BAD, good_text

FEW = [
    "model.num_hidden_layers=1", "data.vocabulary=320", "data.every=40",
    "evaluation.items=12", "evaluation.texts=2",
    *(f"{stage}.train={{steps: 7, batch: 4, warmup: 2, checkpoint_every: 3, threads: 1}}"
      for stage in ("trunk", "reasoning", "memory_integration", "adaptive_computation")),
]  # fmt: skip


def slow(*values: str) -> Any:
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.fixture
def forge(tmp_path: Path) -> Program:
    (tmp_path / "home").mkdir()
    return Program(tmp_path / "home", pipeline="agentforge.pipeline")


def cognate(forge: Program, *settings: str, corpus: Path | None = None, timeout: float = 100) -> Result:
    """The tiny preset with a few steps, then these settings."""
    given = [] if corpus is None else ["--input", f"corpus={corpus}"]
    sets = [word for setting in (*FEW, *settings) for word in ("--set", setting)]
    command = ["phase", "cognate", "--preset", "tiny", "--json", "--run-id", "bad", *given, *sets]
    return forge(*command, timeout=timeout)


def nothing_half_written(forge: Program) -> bool:
    run = forge.home / "runs" / "bad" / "cognate"
    return not (run / "DONE.json").exists() and not list(run.glob("output/*"))


def error_of(result: Result) -> dict[str, Any]:
    assert result.last["outputs"] == []
    error: dict[str, Any] = result.last["error"]
    assert error["message"]
    return error


@pytest.mark.parametrize("name", ["one byte", "pipe", "binary, later"])
def test_a_bad_corpus_from_anywhere_is_refused(forge: Program, tmp_path: Path, name: str) -> None:
    make, reason, named = BAD[name]
    (tmp_path / "given").mkdir()
    make(tmp_path / "given")
    result = cognate(forge, corpus=tmp_path / "given")
    assert (result.code, error_of(result)["reason"]) == (2, reason), result
    assert named in error_of(result)["message"]
    assert not (forge.home / "runs").exists()


def test_links_out_of_the_volume(forge: Program, tmp_path: Path) -> None:
    """Into a directory: refused. To a file that the user names: its content is what was meant, and is copied."""
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "etc").symlink_to("/etc")
    result = cognate(forge, corpus=tmp_path / "given")
    assert (result.code, error_of(result)["reason"]) == (2, "NOT_A_REGULAR_FILE"), result


@pytest.mark.parametrize(
    ("setting", "reason", "field"),
    [
        ("trunk.mix.arithmetic=.nan", "NOT_FINITE", "trunk.mix.arithmetic"),
        ("trunk.train.steps=1000000000000000000", "INVALID_VALUE", "trunk.train.steps"),
        ("data.text_length=65", "SEQUENCE_TOO_LONG", "data.text_length"),
    ],
)
def test_a_bad_setting_is_refused(forge: Program, setting: str, reason: str, field: str) -> None:
    result = cognate(forge, setting)
    error = error_of(result)
    assert (result.code, error["reason"], error["field"]) == (2, reason, field), result
    assert not (forge.home / "runs").exists()


@pytest.mark.parametrize(
    ("setting", "reason", "field", "said"),
    [
        slow("data.vocabulary=300000", "VOCABULARY_TOO_LARGE", "data.vocabulary", "fills a vocabulary of"),
        slow("data.every=100000", "CORPUS_TOO_SMALL", "data.every", "no document in its test split"),
        slow("data.task_length=8", "ITEM_TOO_LONG", "data.task_length", "a row 8"),
        ("trunk.train.lr=1e30", "TRAINING_DIVERGED", "train.lr", "at step 2"),
    ],
)
def test_a_run_that_cannot_end_well_fails(forge: Program, setting: str, reason: str, field: str, said: str) -> None:
    result = cognate(forge, setting)
    error = error_of(result)
    assert (result.code, result.last["state"]) == (1, "FAILED"), result
    assert (error["reason"], error["field"]) == (reason, field), result
    assert said in error["message"]
    assert error["next_step"]
    assert nothing_half_written(forge)


@pytest.mark.slow
def test_junk_far_behind_is_found_before_the_training(forge: Program, tmp_path: Path) -> None:
    """Beyond what is looked at before a run is accepted."""
    text = good_text().encode()
    beyond = text * (1 + (9 << 20) // len(text))
    (tmp_path / "a.txt").write_bytes(beyond + b"\xff\xfe")
    result = cognate(forge, corpus=tmp_path / "a.txt")
    error = error_of(result)
    assert (result.code, error["reason"]) == (1, "NOT_TEXT"), result
    assert f"byte {len(beyond)}" in error["message"]
    assert nothing_half_written(forge)
    assert not list((forge.home / "runs" / "bad" / "cognate").glob("checkpoints/*"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_hundred_megabytes_without_a_line_end(forge: Program, tmp_path: Path) -> None:
    """Cut into pieces of 64 KiB; one process reads them all, in bounded time."""
    chance, words = random.Random(1), sorted(set(good_text().split()))
    with (tmp_path / "a.txt").open("w") as file:
        while file.tell() < 100_000_000:
            file.write(" ".join(chance.choices(words, k=50_000)) + " ")
    result = cognate(forge, "evaluation.items=10", corpus=tmp_path / "a.txt", timeout=590)
    assert result.code == 0, result


@pytest.mark.slow
def test_the_smallest_vocabulary_there_is(forge: Program) -> None:
    """256 bytes and the special tokens: no merge at all."""
    result = cognate(forge, "data.vocabulary=280", "data.task_length=32")
    assert result.code == 0, result
    reasoning = next(each for each in result.last["outputs"] if each["name"] == "reasoning")
    assert json.loads((Path(reasoning["path"]) / "config.json").read_text())["vocab_size"] == 280


@pytest.mark.slow
def test_a_good_corpus_is_told_what_became_of_it(forge: Program, tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "a.txt").write_text(good_text().replace("\n", "\r\n"))
    (tmp_path / "given" / "b.md").write_text("short")
    result = cognate(forge, corpus=tmp_path / "given")
    assert result.code == 0, result
    log = (forge.home / "runs" / "bad" / "cognate" / "events.jsonl").read_text()
    assert "1 too_short" in log
