"""Every file that goes onto the device is Python 3.8, by grammar, and by a real one where there is one."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from .toy import DEVICE

FILES = sorted(DEVICE.rglob("*.py"))
PYENV = Path.home() / ".pyenv/versions"
# Not `which python3.8`: with pyenv that finds a stub, which may end in an error.
FOUND = [*sorted(PYENV.glob("3.8.*/bin/python3.8")), Path("/usr/bin/python3.8")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_it_has_the_grammar(file: Path) -> None:
    tree = ast.parse(file.read_text(), str(file), feature_version=(3, 8))
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    has_future = any(node.module == "__future__" for node in imported)
    assert has_future or not any(isinstance(node, ast.FunctionDef) for node in ast.walk(tree))
    if file.name != "protoset.py":  # runs on the host
        assert not [node.module for node in imported if (node.module or "").startswith("agentforge")]


def test_a_real_one_compiles_it() -> None:
    python = next((each for each in FOUND if each.exists()), None)
    if python is None:
        pytest.skip("there is no Python 3.8")
    code = "import sys\nfor name in sys.argv[1:]: compile(open(name, encoding='utf-8').read(), name, 'exec')"
    done = subprocess.run([python, "-c", code, *FILES], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_modules_without_libraries_import_under_it() -> None:
    """Annotations and base classes are evaluated here, which compiling does not do."""
    python = next((each for each in FOUND if each.exists()), Path(sys.executable))
    names = [
        "errors",
        "contract",
        "package",
        "metrics",
        "watchdog",
        "tegrastats",
        "facts",
        "choose",
        "verification",
    ]
    # numpy is for types alone in those: an empty stand-in will do.
    code = "import sys, types\nsys.modules['numpy'] = types.SimpleNamespace(ndarray=object)\n"
    code += "\n".join(f"import runtime.{name}" for name in names)
    done = subprocess.run([python, "-B", "-c", code], cwd=DEVICE, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
