"""Which tests look at which safety requirement, from their marks, for the safety report. `--check` only compares.

    python -m tests.tools.write_requirements [--check]

A test, or a whole file by `pytestmark`, says `pytest.mark.requirement("SR1")`.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from agentforge.kit.digests import canonical_json
from agentforge.phase7_adas.drive.evidence.requirements import REQUIREMENTS

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests/unit/adas_drive"
FILE = ROOT / "services/agentforge/phase7_adas/drive/evidence/tests.json"


def main() -> int:
    made = canonical_json(marked())
    if "--check" not in sys.argv:
        FILE.write_bytes(made)
        return 0
    if FILE.read_bytes() == made:
        return 0
    print(f"{FILE.relative_to(ROOT)} is not what the tests' marks say: python -m tests.tools.write_requirements")
    return 1


def marked() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {one.id: [] for one in REQUIREMENTS}
    for file in sorted(TESTS.rglob("test_*.py")):
        tree = ast.parse(file.read_text())
        assigned = [node for node in tree.body if isinstance(node, ast.Assign) and _names(node)]
        of_file = [mark for node in assigned for mark in _marks(node)]
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for mark in {*of_file, *(each for one in node.decorator_list for each in _marks(one))}:
                    if mark not in found:
                        raise SystemExit(f"{file.relative_to(ROOT)}: {node.name}: there is no requirement {mark}")
                    found[mark].append(f"{file.relative_to(ROOT)}::{node.name}")
    return {name: sorted(tests) for name, tests in found.items()}


def _names(node: ast.Assign) -> bool:
    return any(isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets)


def _marks(node: ast.AST) -> Iterator[str]:
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "requirement":
            words = (each.value for each in call.args if isinstance(each, ast.Constant))
            yield from (word for word in words if isinstance(word, str))


if __name__ == "__main__":
    sys.exit(main())
