"""The contract: lint, no breaking change since the released image, and generated code that is up to date."""

from __future__ import annotations

import filecmp
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
GENERATED = ROOT / "services/agentforge/v1"
RELEASED = "proto/released.json"  # `buf build` of the last released contract


def main() -> int:
    faults = [*buf("lint", "proto"), *buf("breaking", "proto", "--against", RELEASED), *stale()]
    print("\n".join(faults) or "contract: lint, breaking and generated code are clean")
    return 1 if faults else 0


def buf(*arguments: str) -> list[str]:
    done = subprocess.run([BIN / "buf", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return [] if done.returncode == 0 else [f"buf {arguments[0]}: {done.stdout}{done.stderr}"]


def stale() -> list[str]:
    """Names of committed generated files that differ from what `make proto` writes now."""
    with tempfile.TemporaryDirectory() as scratch:
        plugins = ["--python_out", "--grpc_python_out", "--mypy_out", "--mypy_grpc_out"]
        outs = [f"{plugin}={scratch}" for plugin in plugins]
        protos = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "proto/agentforge/v1").glob("*.proto"))
        command = [sys.executable, "-m", "grpc_tools.protoc", "--proto_path=proto", *outs, *protos]
        environment = {"PATH": f"{BIN}:/usr/bin:/bin"}
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
        fresh = Path(scratch, "agentforge/v1")
        made = {f.name for f in fresh.iterdir()}
        there = {f.name for f in GENERATED.iterdir() if f.is_file() and f.name != "__init__.py"}
        _, differ, missing = filecmp.cmpfiles(fresh, GENERATED, sorted(made), shallow=False)
    wrong = sorted({*differ, *missing, *(there - made)})
    return [f"generated code is stale, run `make proto`: {', '.join(wrong)}"] if wrong else []


if __name__ == "__main__":
    raise SystemExit(main())
