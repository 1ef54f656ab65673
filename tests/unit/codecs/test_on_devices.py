"""What decodes on a device is Python 3.8, needs numpy alone, and nothing of ours but itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import agentforge.codecs

PLACE = Path(agentforge.codecs.__file__).parent
NAMES = ("payload", "packing", "entropy", "container")
FILES = [*(PLACE / f"{name}.py" for name in NAMES), *sorted((PLACE / "decode").glob("*.py"))]
FOUND = [*sorted(Path.home().glob(".pyenv/versions/3.8.*/bin/python3.8")), Path("/usr/bin/python3.8")]
COPY = """
import importlib, pathlib, shutil, sys, tempfile
place = pathlib.Path(tempfile.mkdtemp())
for file in sys.argv[2:]:
    parent = place / "forge" / ("decode" if "decode" in pathlib.Path(file).parts else "")
    parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, parent)
(place / "forge/__init__.py").touch()
sys.path.insert(0, str(place))
"""
ALONE = """
class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "numpy", "forge"}:
            raise ImportError("a device has no " + name)
sys.meta_path.insert(0, Wall())
import forge.container, forge.decode
forge_file = forge.container.read(pathlib.Path(sys.argv[1]))
print({name: forge.decode.decode(each).sum().item() for name, each in forge_file.payloads.items()})
shutil.rmtree(place)
"""
STUBBED = """
from unittest.mock import MagicMock
sys.modules["numpy"] = MagicMock()
import forge.container, forge.decode
shutil.rmtree(place)
"""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_has_the_grammar_and_imports_its_own_alone(file: Path) -> None:
    tree = ast.parse(file.read_text(), str(file), feature_version=(3, 8))
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert any(node.module == "__future__" for node in imported)
    assert not [node.module for node in imported if not node.level and (node.module or "").startswith("agentforge")]


def test_a_file_is_read_and_decoded_with_numpy_alone(tmp_path: Path) -> None:
    import numpy as np

    from agentforge.codecs.encode import encode
    from agentforge.codecs.spec import Spec
    from agentforge.codecs.write import write

    w_OI = np.random.default_rng(0).normal(0, 1, (16, 64)).astype(np.float32)
    specs = {"a": Spec("float"), "b": Spec("grid", {"bits": 3}), "c": Spec("ternary")}
    payloads = {name: encode(w_OI, spec) for name, spec in specs.items()}
    file = write(tmp_path / "model.forge", payloads)
    told = run(Path(sys.executable), COPY + ALONE, file)

    from agentforge.codecs.decode import decode

    assert told.strip() == str({name: decode(each).sum().item() for name, each in payloads.items()})


def test_a_real_one_imports_it() -> None:
    python = next((each for each in FOUND if each.exists()), None)
    if python is None:
        pytest.skip("there is no Python 3.8")
    run(python, COPY + STUBBED, Path("none"))


def run(python: Path, code: str, file: Path) -> str:
    done = subprocess.run(
        [python, "-I", "-B", "-c", code, file, *FILES], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout
