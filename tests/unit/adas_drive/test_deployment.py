"""The file for a device: run before it is kept, refused when it answers otherwise, and its damage told."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentforge.kit.errors import RunFailed
from agentforge.phase7_adas.drive.deployment import agent
from agentforge.phase7_adas.drive.deployment.agent import deploy, golden, packed, run, spec
from agentforge.phase7_adas.drive.deployment.device.camera import Camera
from agentforge.phase7_adas.drive.perception.detector import load


@cache
def whole() -> bytes:
    return packed()


@cache
def told() -> dict[str, Any]:
    return golden(load())


@pytest.fixture(autouse=True)
def _once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answers are asked for once: they take seconds."""
    monkeypatch.setattr(agent, "golden", lambda camera: told())


def test_it_runs_by_itself_and_answers_as_the_pipeline_does(tmp_path: Path) -> None:
    file = tmp_path / "eyes.pyz"
    said = deploy(file)
    assert said["passed"]
    assert said["motions_equal"] >= 0.95
    assert all(said["off"][name] <= agent.ALLOWED[name] for name in said["off"])
    assert file.read_bytes() == whole(), "the same weights and code give the same bytes"
    picture = tmp_path / "picture.npy"
    np.save(picture, np.zeros((3, 4), dtype=np.uint8))
    refused = subprocess.run([sys.executable, file, "--picture", picture], capture_output=True, text=True)
    assert refused.returncode == 1
    assert "a picture is uint8 of (96, 480)" in refused.stderr


def test_a_cut_or_changed_file_says_so(tmp_path: Path) -> None:
    file, data = tmp_path / "eyes.pyz", whole()
    flipped = bytearray(data)
    flipped[len(data) // 3] ^= 1
    for broken in (data[: len(data) // 2], bytes(flipped)):
        file.write_bytes(broken)
        with pytest.raises(RunFailed, match="is damaged"):
            run(file)


def test_nothing_is_kept_that_answers_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {**told(), "logits": told()["logits"] + 0.1}
    monkeypatch.setattr(agent, "golden", lambda camera: wrong)
    with pytest.raises(RunFailed) as caught:
        deploy(tmp_path / "eyes.pyz")
    assert caught.value.reason == "PACKAGE_BROKEN"
    assert list(tmp_path.iterdir()) == []


def test_boxes_that_overlap_are_told_once_and_an_empty_picture_tells_none() -> None:
    camera = Camera(load(), spec()["camera"])
    edges = np.array([[0.0, 0.0, 10.0, 10.0], [1.0, 1.0, 11.0, 11.0], [50.0, 0.0, 60.0, 10.0]])
    assert camera._best(edges) == [0, 2]
    assert camera.boxes(np.full((96, 480), 128, dtype=np.uint8)).shape[1] == len(agent.COLUMNS)


def test_what_runs_there_is_of_python_3_8_and_imports_nothing_that_is_not_packed() -> None:
    code = {path: data for path, data in agent._program().items() if path.startswith("phase7_adas") and data}
    assert len(code) == 4
    for path, data in code.items():
        tree = ast.parse(data, path, feature_version=(3, 8))
        absolute = [each for each in ast.walk(tree) if isinstance(each, ast.ImportFrom) and not each.level]
        assert not [each.module for each in absolute if (each.module or "").startswith("agentforge")], path
