"""What a build takes from the machine: which docker, and pip's configuration as the build sees it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deploy.build_environment import engine, pip_settings
from deploy.image_sizes import Layered, shared_height


def client(folder: Path, version: str, buildx: bool) -> Path:
    """A docker that tells its version, and has buildx or not."""
    folder.mkdir()
    program = folder / "docker"
    program.write_text(f'#!/bin/sh\n[ "$1" = buildx ] && exit {0 if buildx else 1}\necho {version}\n')
    if buildx:
        program.write_text("#!/bin/sh\necho github.com/docker/buildx v0.20\n")
    program.chmod(0o755)
    return program


def test_a_client_without_buildkit_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = client(tmp_path / "bare", "28.2.2", buildx=False)
    old = client(tmp_path / "old", "20.10.24+dfsg1", buildx=False)
    new = client(tmp_path / "new", "28.2.2", buildx=True)
    for order, chosen in (([bare, old, new], old), ([bare, new, old], new)):
        monkeypatch.setenv("PATH", os.pathsep.join(str(each.parent) for each in order))
        assert engine() == str(chosen)
    monkeypatch.setenv("PATH", str(bare.parent))
    with pytest.raises(SystemExit, match="no docker with BuildKit"):
        engine()


def test_pips_folders_are_seen_under_their_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    wheels, index = tmp_path / "wheels", tmp_path / "index"
    wheels.mkdir()
    index.mkdir()
    lines = [
        "[global]",
        "index-url = https://user:secret@mirror.example/simple",
        f"extra-index-url = file://{index} https://more.example/simple",
        f"find-links = {wheels} https://links.example/",
        f"cert = {tmp_path / 'ca.pem'}",
    ]
    (tmp_path / "pip.conf").write_text("\n".join(lines))
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    found = pip_settings()
    monkeypatch.setenv("PIP_INDEX_URL", "https://other.example/simple")
    assert "index-url = https://other.example/simple" in pip_settings().text.splitlines()
    told = found.text.splitlines()
    assert "index-url = https://user:secret@mirror.example/simple" in told
    assert "extra-index-url = https://more.example/simple" in told
    assert str(tmp_path) not in found.text
    assert any(line.startswith("find-links = /wheels/") for line in told)
    assert wheels in found.folders
    assert f"file://{index}" in found.left_out
    assert found.certificates == tmp_path / "ca.pem"


def test_what_images_share_ends_at_the_first_difference() -> None:
    one = Layered("one", (("base", 100), ("torch", 50), ("a", 1), ("end", 7)))
    two = Layered("two", (("base", 100), ("torch", 50), ("b", 2), ("end", 7)))
    assert shared_height([one, two]) == 2
    assert [image.bytes_above(2) for image in (one, two)] == [8, 9]
