"""Names and paths from outside."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentforge.kit.errors import InvalidInput
from agentforge.kit.paths import check_run_id, home, resolve_inside


def test_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AGENTFORGE_HOME", str(tmp_path / "a"))
    assert home() == tmp_path / "a"
    monkeypatch.delenv("AGENTFORGE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home() == tmp_path / ".agentforge"


@pytest.mark.parametrize("run_id", ["a", "A-1.b_c", "_x", "0", "x" * 64, "2026-11-21.run"])
def test_good_run_ids(run_id: str) -> None:
    check_run_id(run_id)


@pytest.mark.parametrize(
    "run_id",
    ["", ".", "..", ".x", "-x", "a/b", "a\\b", "../x", "x" * 65, "x" * 10_000, "a b", "ä", "a\n", "a\0", "٣"],
)
def test_bad_run_ids(run_id: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_run_id(run_id)
    assert caught.value.field == "run_id"
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/etc/passwd", "PATH_OUTSIDE_VOLUME"),
        ("//etc", "PATH_OUTSIDE_VOLUME"),
        ("..", "PATH_OUTSIDE_VOLUME"),
        ("a/../../b", "PATH_OUTSIDE_VOLUME"),
        ("a/../b", "PATH_OUTSIDE_VOLUME"),
        ("", "PATH_OUTSIDE_VOLUME"),
        (".", "PATH_OUTSIDE_VOLUME"),
        ("./", "PATH_OUTSIDE_VOLUME"),
        ("a\0b", "INVALID_PATH"),
        ("\ud800", "INVALID_PATH"),
        ("x" * 300, "INVALID_PATH"),
        ("x/" * 50_000 + "y", "INVALID_PATH"),
        ("file/below", "NOT_A_DIRECTORY"),
        ("outward", "SYMLINK"),
        ("outward/etc", "SYMLINK"),
        ("inward", "SYMLINK"),
        ("dangling", "SYMLINK"),
        ("d/inward/x", "SYMLINK"),
    ],
)
def test_paths_that_are_refused(home: Path, path: str, reason: str) -> None:
    (home / "d").mkdir(parents=True)
    (home / "file").write_text("x")
    for link, target in {"outward": "/", "inward": "d", "dangling": "nowhere", "d/inward": ".."}.items():
        (home / link).symlink_to(target)
    with pytest.raises(InvalidInput) as caught:
        resolve_inside(home, path, field="inputs[0].path")
    assert (caught.value.reason, caught.value.field) == (reason, "inputs[0].path")
    assert len(str(caught.value)) < 400


def test_good_paths_need_not_exist(home: Path) -> None:
    (home / "models").mkdir(parents=True)
    assert resolve_inside(home, "models/a") == home / "models" / "a"
    assert resolve_inside(home, "./models//b/") == home / "models" / "b"
    assert resolve_inside(home, "new/deep/…") == home / "new/deep/…"


def test_the_volume_itself_may_be_reached_by_a_link(home: Path, tmp_path: Path) -> None:
    home.mkdir()
    (tmp_path / "link").symlink_to(home)
    assert resolve_inside(tmp_path / "link", "x") == tmp_path / "link" / "x"


@given(st.text(alphabet=st.sampled_from("./\\a\0~$ \n"), max_size=12))
def test_whatever_is_accepted_lies_inside(path: str) -> None:
    root = Path("/nonexistent/volume")
    try:
        place = resolve_inside(root, path)
    except InvalidInput:
        return
    assert place != root
    assert place.is_relative_to(root)
    assert ".." not in place.parts
