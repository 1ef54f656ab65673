"""Damage to a halted run's checkpoints: the same digests in the end and a log that says so, or a failure."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentforge.kit.checkpoints import Checkpoints
from agentforge.kit.rundir import RunDirectory
from tests.attempts import Attempt, Killed, Record
from tests.unit.cognate.phases import PLAIN, ask, digests
from tests.workers import finish

SLOW = pytest.mark.slow
Damage = Callable[[list[Path]], object]
"""What is done to the checkpoints' directories, the newest first."""

# The third stage, with several checkpoints.
_TRAIN = {"steps": 12, "batch": 4, "warmup": 2, "checkpoint_every": 3, "threads": 1}
_THIRD = {"train": _TRAIN, "mix": {"recall": 1}, "family": "recall", "seed": 1337}
LONGER: dict[str, Any] = {"memory_integration": _THIRD}


@pytest.fixture(scope="module")
def halted(tmp_path_factory: pytest.TempPathFactory) -> Attempt:
    """Killed in the third stage, with two checkpoints of its middle."""
    halted = ask(tmp_path_factory.mktemp("volume") / "home", "halted", **LONGER)

    def fate(kind: str, payload: Record) -> None:
        if payload.get("done", 0) >= 14 + 7:
            raise Killed

    with pytest.raises(Killed):
        halted.go(fate)
    assert len(list(halted.run.checkpoints_path.glob("step-*"))) == 2
    return halted


@pytest.fixture(scope="module")
def whole(halted: Attempt) -> dict[str, str]:
    """What comes of a run that nobody killed."""
    return digests(ask(halted.run.home.parent / "calm", "whole", **LONGER).go().run)


def resumed(halted: Attempt, home: Path, damage: Damage) -> Attempt:
    """A copy of the halted run, damaged and finished."""
    shutil.copytree(halted.run.home, home)
    run = RunDirectory(home, halted.run.run_id, halted.run.phase)
    damage(sorted(run.checkpoints_path.glob("step-*"), reverse=True))
    return replace(halted.again(), run=run).go()


def flip(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place % len(content)] ^= 1 << (place % 8)
    file.write_bytes(content)


def files(place: Path) -> list[Path]:
    return sorted(each for each in place.rglob("*") if each.is_file() and each.stat().st_size)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def emptied(place: Path) -> None:
    shutil.rmtree(place)
    place.mkdir()


def replaced_by_a_file(place: Path) -> None:
    shutil.rmtree(place)
    place.write_text("once a directory")


def all_of(damage: Callable[[Path], object]) -> Damage:
    return lambda places: [damage(place) for place in places]


def newest(damage: Callable[[Path], object]) -> Damage:
    return lambda places: damage(places[0])


@pytest.mark.parametrize(
    "damage",
    [
        newest(lambda place: cut(place / "data" / "trunk.safetensors")),
        pytest.param(newest(lambda place: cut(place / "data" / "begun" / "optimiser.safetensors")), marks=SLOW),
        pytest.param(newest(lambda place: (place / "data" / "stages.json").unlink()), marks=SLOW),
        pytest.param(newest(lambda place: (place / "CHECKPOINT.json").unlink()), marks=SLOW),
        pytest.param(newest(emptied), marks=SLOW),
        pytest.param(newest(replaced_by_a_file), marks=SLOW),
    ],
)
def test_it_goes_on_from_the_one_before(
    halted: Attempt, whole: dict[str, str], tmp_path: Path, damage: Damage
) -> None:
    run = resumed(halted, tmp_path / "home", damage)
    assert digests(run.run) == whole
    told = run.logs().splitlines()
    assert any("is damaged" in text and "the one before it is used" in text for text in told), told
    assert any("goes on from step" in text for text in told), told


@SLOW
@pytest.mark.parametrize("damage", [all_of(lambda place: flip(place / "data" / "stages.json", 7)), all_of(emptied)])
def test_it_begins_anew_where_none_is_left(
    halted: Attempt, whole: dict[str, str], tmp_path: Path, damage: Damage
) -> None:
    run = resumed(halted, tmp_path / "home", damage)
    assert digests(run.run) == whole
    told = run.logs().splitlines()
    assert sum("is damaged" in text for text in told) == 2, told
    assert any("all begins anew" in text for text in told), told
    assert not any("goes on from step" in text for text in told), told


def test_every_flipped_byte_is_seen(halted: Attempt, tmp_path: Path) -> None:
    """Anywhere in any file: the checkpoint is passed over with a warning that names the file."""
    shutil.copytree(halted.run.checkpoints_path, tmp_path / "checkpoints")
    warnings: list[str] = []
    checkpoints = Checkpoints(tmp_path / "checkpoints", warn=warnings.append)
    undamaged = checkpoints.latest()
    assert undamaged is not None
    chance = random.Random(3)
    for number in range(100):
        file = chance.choice(files(undamaged.path.parent))
        place = chance.randrange(file.stat().st_size)
        flip(file, place)
        found = checkpoints.latest()
        assert found is not None
        assert found.step < undamaged.step, f"byte {place} of {file} was flipped and not seen"
        assert len(warnings) == number + 1
        flip(file, place)
    assert checkpoints.latest() == undamaged


@SLOW
@pytest.mark.parametrize("seed", range(6))
def test_bytes_flipped_at_random_end_in_equal_digests(
    halted: Attempt, whole: dict[str, str], tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)

    def damage(places: list[Path]) -> None:
        for place in (places[0], *chance.choices(places, k=2)):
            file = chance.choice(files(place))
            flip(file, chance.randrange(file.stat().st_size))

    run = resumed(halted, tmp_path / "home", damage)
    assert digests(run.run) == whole
    assert any("is damaged" in text for text in run.logs().splitlines())


DATA = {"vocabulary": 320, "every": 40, "corpus": "docstrings", "text_length": 24, "task_length": 32}


@SLOW
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        # As after an update of Python, whose library is the text: equal shapes, other ids.
        ({"data": {**DATA, "every": 20}}, "TOKENIZER_MISMATCH"),
        ({"data": {**DATA, "vocabulary": 300}}, "TOKENIZER_MISMATCH"),
        ({"model": {"size": "tiny", **PLAIN, "embedding_std": 0.1}}, "CHECKPOINT_MISMATCH"),
    ],
)
def test_a_whole_checkpoint_of_another_run_is_refused(
    halted: Attempt, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    other = ask(tmp_path / "home", "other", **LONGER, **changes).run
    shutil.copytree(halted.run.checkpoints_path, other.checkpoints_path)
    summary = finish(other)
    assert summary.state == "RUN_STATE_FAILED"
    assert summary.error is not None
    assert summary.error["reason"] == reason
    assert summary.error["field"]
    assert summary.error["next_step"]
    assert not list(other.output_path.glob("*"))
