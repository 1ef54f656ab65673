"""A run notes the data that it reads, whoever reads it, and through kills."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentforge.data.generate import ItemStream, items_by_family
from agentforge.data.items import Item
from agentforge.data.sources.stdlib import StandardLibrary
from agentforge.data.splits import Split, split_of
from agentforge.data.tasks.base import Family
from agentforge.kit.data_notes import note, noted, noting
from agentforge.kit.errors import InvalidInput
from agentforge.kit.rundir import RunDirectory
from tests.unit.kit.workers import asked, end_workers, reach_tests
from tests.workers import kill_when, succeed, works_at


@pytest.fixture(autouse=True)
def _reachable(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[None]:
    reach_tests(monkeypatch)
    yield
    end_workers(home)


def test_nothing_is_noted_or_even_read_outside_of_a_run(tmp_path: Path) -> None:
    def never() -> list[str]:
        raise AssertionError("nobody is to ask")

    note("a", "b", never)
    with noting(tmp_path / "notes", tmp_path):
        pass
    note("a", "b", never)
    assert not (tmp_path / "notes").exists()
    assert noted(tmp_path / "notes") == []


def test_pieces_and_their_order_decide(tmp_path: Path) -> None:
    pieces = {"one": ["ab", "c"], "two": ["a", "bc"], "three": ["c", "ab"], "four": ["ab", "c"], "five": ["\ud800"]}
    with noting(tmp_path / "notes", tmp_path):
        for name, said in pieces.items():
            note(name, "texts", lambda said=said: said)
            note(name, "texts", lambda: ["never the second time"])
    found = {one["name"]: one for one in noted(tmp_path / "notes")}
    assert list(found) == sorted(pieces)
    assert found["one"]["sha256"] == found["four"]["sha256"]
    assert len({one["sha256"] for one in found.values()}) == 4
    assert [found[name]["count"] for name in ("one", "five")] == [2, 1]


class Single(Family):
    """One item, over and over."""

    def draw(self, rng: random.Random, difficulty: int) -> Item:
        return Item(self.name, "Q: 1", "1", difficulty)


def test_what_cannot_be_drawn_is_told_as_ever_and_not_noted(tmp_path: Path) -> None:
    family = Single("single", "one item", "nothing", range(1, 2), (1,))
    split = next(each for each in Split if each is not split_of("Q: 1"))
    with noting(tmp_path / "notes", tmp_path), pytest.raises(InvalidInput) as caught:
        ItemStream(family, split, 1).item(0)
    assert caught.value.reason == "SPLIT_EMPTY"
    assert noted(tmp_path / "notes") == []


def test_items_are_noted_by_what_they_are_and_stay_the_same(tmp_path: Path) -> None:
    plain = [ItemStream("nested", Split.TRAIN, 1).item(n) for n in (5, 3)]
    held = items_by_family({"arithmetic": [1]}, Split.TEST, 5, 2, field="f")
    with noting(tmp_path / "notes", tmp_path):
        stream = ItemStream("nested", Split.TRAIN, 1)
        assert [stream.item(n) for n in (5, 3)] == plain
        ItemStream("nested", Split.TRAIN, 1).item(9)
        assert items_by_family({"arithmetic": [1]}, Split.TEST, 5, 2, field="f") == held
        ItemStream("nested", Split.TRAIN, 2).item(9)
        items_by_family({"arithmetic": [1]}, Split.TEST, 3, 2, field="f")
    found = noted(tmp_path / "notes")
    assert [(one["name"], one["count"]) for one in found] == [
        ("arithmetic/test", 3),
        ("arithmetic/test", 5),
        ("nested/train", 100),
        ("nested/train", 100),
    ]
    assert len({one["sha256"] for one in found}) == 4
    assert "seed 1" in found[2]["what"]


def test_the_library_is_noted_with_its_python(tmp_path: Path) -> None:
    with noting(tmp_path / "notes", tmp_path):
        every = StandardLibrary(every=40)
    (found,) = noted(tmp_path / "notes")
    assert found["count"] == len(every.files) > 3
    assert "Python 3." in found["what"]


def test_a_killed_run_tells_of_all_that_it_read(home: Path) -> None:
    killed = asked(home, "read", "killed", wait_s=60)
    kill_when(killed, works_at("held out"))
    succeed(killed)
    whole = asked(home, "read", "whole")
    succeed(whole)
    assert told(killed) == told(whole) == [("arithmetic/test", 10), ("recall/train", 100)]
    first, second = killed.done(), whole.done()
    assert first is not None
    assert second is not None
    assert first.data == second.data
    assert first.from_json(first.to_json()) == first
    old = {key: value for key, value in first.to_json().items() if key != "data"}
    assert first.from_json(old).data == ()


def told(run: RunDirectory) -> list[tuple[str, int]]:
    done = run.done()
    assert done is not None
    return [(one["name"], one["count"]) for one in done.data]
