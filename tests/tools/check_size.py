"""Files of one subject: at most 400 lines, the median at most 150; functions of at most 60 lines."""

from __future__ import annotations

import ast
import statistics
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST_LINES, MEDIAN_LINES, MOST_FUNCTION_LINES = 400, 150, 60


def main() -> int:
    files = [
        f for root in ("services", "gateway") for f in (ROOT / root).rglob("*.py") if "/v1/" not in f.as_posix()
    ]
    lengths = {f: len(f.read_text().splitlines()) for f in files}
    faults = [f"{f.relative_to(ROOT)}: {n} lines" for f, n in sorted(lengths.items()) if n > MOST_LINES]
    for file in sorted(files):
        faults += [f"{file.relative_to(ROOT)}:{long}" for long in long_functions(file)]
    median = statistics.median(lengths.values())
    if median > MEDIAN_LINES:
        faults.append(f"the median file has {median:.0f} lines")
    print("\n".join(faults) or f"sizes: {len(files)} files, median {median:.0f} lines")
    return 1 if faults else 0


def long_functions(file: Path) -> list[str]:
    functions = (
        n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return [
        f"{node.lineno} {node.name}: {length} lines"
        for node in functions
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > MOST_FUNCTION_LINES
    ]


if __name__ == "__main__":
    raise SystemExit(main())
