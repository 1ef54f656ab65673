"""All that is packed is of Python 3.8: by its grammar, and by a real one that AGENTFORGE_PYTHON38_NUMPY names."""

from __future__ import annotations

import ast
import json
import os
import subprocess
from pathlib import Path

import pytest

from agentforge.edge.solo.build import build, program
from agentforge.edge.solo.pack import _CUT_PROGRAM, _PROGRAM

from .test_agent_pyz import PROMPTS, model_directory, told_by_pytorch

PYTHON = os.environ.get("AGENTFORGE_PYTHON38_NUMPY", "")


@pytest.mark.parametrize("path", sorted(program()))
def test_grammar_and_imports(path: str) -> None:
    tree = ast.parse(program()[path], path, feature_version=(3, 8))
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert any(node.module == "__future__" for node in imported) or not any(
        isinstance(node, ast.FunctionDef) for node in ast.walk(tree)
    )
    own = set(program())
    for node in imported:
        if node.level:  # what it asks for is packed
            above = path.split("/")[: -node.level]
            place = "/".join([*above, *(node.module or "").split(".")]).rstrip("/")
            names = [f"{place}.py", f"{place}/__init__.py", *(f"{place}/{each.name}.py" for each in node.names)]
            assert own & set(names), f"{path} imports {place}"
        else:
            assert not (node.module or "").startswith("agentforge")


def test_the_first_lines() -> None:
    for text in (_PROGRAM, _CUT_PROGRAM):
        ast.parse(text, feature_version=(3, 4))


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON, reason="AGENTFORGE_PYTHON38_NUMPY names no Python 3.8 with numpy")
def test_a_real_one_answers_the_same(tmp_path: Path) -> None:
    directory = model_directory(tmp_path / "model")
    golden = list(zip(PROMPTS, told_by_pytorch(directory, PROMPTS), strict=True))
    file = build(directory, tmp_path / "agent.pyz", golden=golden)
    done = subprocess.run([PYTHON, "-I", file, "--verify", "--json"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["python"].startswith("3.8.")
    assert report["golden"]["equal"] == len(PROMPTS)
