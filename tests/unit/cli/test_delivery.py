from pathlib import Path

import pytest

from agentforge.cli.delivery import check_free, deliver
from agentforge.kit.artifacts import ArtifactRef, describe
from agentforge.kit.errors import DataLoss, ForgeError, InvalidInput


@pytest.fixture
def home(tmp_path: Path) -> Path:
    place = tmp_path / "home"
    (place / "a" / "deep").mkdir(parents=True)
    (place / "a" / "deep" / "file").write_text("inside")
    (place / "b").write_text("a file")
    return place


def refs(home: Path) -> list[ArtifactRef]:
    return [describe(home, "a", "model", "model"), describe(home, "b", "card", "text")]


def test_all_outputs_are_copied(home: Path, tmp_path: Path) -> None:
    copies = deliver(home, refs(home), tmp_path / "out")
    assert (copies["model"] / "deep" / "file").read_text() == "inside"
    assert copies["card"].read_text() == "a file"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["home", "out"]


def test_an_empty_directory_is_taken(home: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    deliver(home, refs(home), tmp_path / "out")
    assert (tmp_path / "out" / "card").exists()


def test_nothing_is_left_when_one_output_is_damaged(home: Path, tmp_path: Path) -> None:
    outputs = refs(home)
    (home / "b").write_text("other")
    with pytest.raises(DataLoss, match="card"):
        deliver(home, outputs, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["home"]


def test_what_is_not_on_this_machine_is_said_so(home: Path, tmp_path: Path) -> None:
    with pytest.raises(ForgeError) as caught:
        deliver(home, [ArtifactRef("model", "model", "runs/x/y/output/model", "0" * 64)], tmp_path / "out")
    assert caught.value.reason == "VOLUME_NOT_SHARED"


def test_a_directory_with_files_a_file_and_a_missing_parent_are_refused(home: Path, tmp_path: Path) -> None:
    for place in (home, home / "b", tmp_path / "no" / "such"):
        with pytest.raises(InvalidInput) as caught:
            check_free(place)
        assert caught.value.field == "out"
        assert caught.value.next_step
