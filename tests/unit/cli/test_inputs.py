from pathlib import Path

import pytest

from agentforge.cli.inputs import bring_in
from agentforge.kit.errors import ForgeError, InvalidInput, NotFound
from agentforge.kit.phase import Slot

ONE = [Slot("model", "model")]
MANY = [Slot("models", "model", max_count=None)]
TWO_KINDS = [Slot("model", "model"), Slot("words", "text", min_count=0)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    place = tmp_path / "home"
    (place / "mine" / "m").mkdir(parents=True)
    (place / "mine" / "m" / "weights").write_text("w")
    return place


def outside(tmp_path: Path, name: str = "given") -> Path:
    (tmp_path / name).mkdir()
    (tmp_path / name / "weights").write_text(name)
    return tmp_path / name


def test_a_path_outside_is_imported_under_its_digest(home: Path, tmp_path: Path) -> None:
    place = outside(tmp_path)
    (ref,) = bring_in(home, [str(place)], ONE, remote=False)
    assert (ref.name, ref.kind) == ("model", "model")
    assert ref.path == f"imports/{ref.sha256}/model"
    assert (home / ref.path / "weights").read_text() == "given"


def test_a_path_inside_is_taken_where_it_is(home: Path) -> None:
    (ref,) = bring_in(home, [str(home / "mine" / "m")], ONE, remote=True)
    assert (ref.path, ref.sha256) == ("mine/m", "")
    assert not (home / "imports").exists()


def test_a_remote_service_is_sent_nothing_from_outside(home: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        bring_in(home, [str(outside(tmp_path))], ONE, remote=True)
    assert caught.value.reason == "PATH_OUTSIDE_VOLUME"
    assert str(home) in caught.value.next_step


def test_several_of_one_slot_get_names_of_their_own(home: Path, tmp_path: Path) -> None:
    given = [str(outside(tmp_path, name)) for name in ("a", "b c")] + [str(home / "mine" / "m")]
    assert [ref.name for ref in bring_in(home, given, MANY, remote=False)] == ["a", "b_c", "m"]


def test_a_file_keeps_its_suffix_by_which_its_format_is_known(home: Path, tmp_path: Path) -> None:
    given = [tmp_path / place / "words.txt" for place in ("one", "two")]
    for number, file in enumerate(given):
        file.parent.mkdir()
        file.write_text(f"text {number}")
    refs = bring_in(home, [str(file) for file in given], MANY, remote=False)
    assert [ref.name for ref in refs] == ["words.txt", "words-2.txt"]
    assert [(home / ref.path).read_text() for ref in refs] == ["text 0", "text 1"]
    assert {Path(ref.path).suffix for ref in refs} == {".txt"}
    (ref,) = bring_in(home, [f"words={given[0]}", str(home / "mine" / "m")], TWO_KINDS, remote=False)[:1]
    assert (ref.name, Path(ref.path).suffix) == ("words.txt", ".txt"), "also where the slot takes one"


def test_the_slot_can_be_named_and_must_be_where_kinds_differ(home: Path) -> None:
    place = home / "mine" / "m"
    (ref,) = bring_in(home, [f"words={place}"], TWO_KINDS, remote=False)
    assert (ref.name, ref.kind) == ("words", "text")
    both_needed = [Slot("model", "model"), Slot("words", "text")]
    with pytest.raises(InvalidInput, match="not clear") as caught:
        bring_in(home, [str(place)], both_needed, remote=False)
    assert "SLOT=" in caught.value.next_step


def test_a_directory_with_the_slots_name_and_the_slot_that_must_be_filled(home: Path, tmp_path: Path) -> None:
    takes = [Slot("trunk", "trunk", 0, 1), Slot("models", "model", 2, None)]
    given = [str(outside(tmp_path, name)) for name in ("a", "trunk", "b")]
    assert [(ref.name, ref.kind) for ref in bring_in(home, given, takes, remote=False)] == [
        ("a", "model"), ("trunk", "trunk"), ("b", "model"),
    ]  # fmt: skip


def test_what_is_not_there_and_what_is_not_taken(home: Path) -> None:
    with pytest.raises(NotFound, match="nothing at"):
        bring_in(home, ["/no/such"], ONE, remote=False)
    with pytest.raises(ForgeError) as caught:
        bring_in(home, [f"modle={home / 'mine' / 'm'}"], ONE, remote=False)
    assert "model" in caught.value.next_step
    with pytest.raises(InvalidInput, match="takes no inputs"):
        bring_in(home, [str(home / "mine" / "m")], [], remote=False)
