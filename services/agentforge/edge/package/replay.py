"""Golden prompts, asked again by the package's own verify.py, with the host's Python and onnxruntime."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import agentforge.edge.device
from agentforge.edge.package.manifest import Manifest
from agentforge.edge.package.verdict import Verification
from agentforge.kit.digests import digest_file
from agentforge.kit.errors import DataLoss

_GOLDEN = "golden/golden.json"
_LIMIT = 600  # seconds
_STEPS = 8  # to time: what is asked here is whether the answers are right
_NEEDED = ("numpy", "onnxruntime", "tokenizers")
_SIGNATURE = "agentforge verify"  # verify.py leaves it to us
_SHOWN = 600  # characters of what it said


def check_golden(top: Path, found: Verification) -> None:
    with found.about("golden"):
        items, files = _golden(top)
        found.ok("golden", f"{items} prompts with the answers of {', '.join(files)}", _GOLDEN)


def replay_golden(top: Path, found: Verification) -> None:
    """Runs code of the package, in a process of its own."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        step = "pip install 'agentforge[onnx]'"
        found.not_checked("replay", f"not installed: {', '.join(missing)}", step)
        return
    try:
        code, out, err = _run(top, [sys.executable, "-B", "verify.py", "--json", "--steps", str(_STEPS)])
    except subprocess.TimeoutExpired:
        fact = f"verify.py did not end within {_LIMIT} s"
        found.failed("replay", fact, "REPLAY_FAILED", "verify.py", "--no-replay leaves it out.")
        return
    if code:
        said = (err.strip() or out.strip())[-_SHOWN:]
        found.failed("replay", f"verify.py ended with {code}: {said}", "REPLAY_FAILED", "verify.py")
    else:
        _tell(out, found)


def strange_code(manifest: Manifest) -> list[str]:
    """Python of the package that is not, byte for byte, what this installation would put there."""
    own = Path(agentforge.edge.device.__path__[0])
    python = (path for path in manifest.files if path.endswith(".py"))
    return [path for path in python if not _same(own / path, manifest.files[path].sha256)]


def _same(file: Path, sha256: str) -> bool:
    return file.is_file() and digest_file(file) == sha256


def _run(top: Path, command: list[str]) -> tuple[int, str, str]:
    """Ends with all the processes that it started, however this ends."""
    process = subprocess.Popen(
        command, cwd=top, env=_environment(top), text=True, errors="replace", start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        try:
            out, err = process.communicate(timeout=_LIMIT)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, out, err


def _golden(top: Path) -> tuple[int, list[str]]:
    try:
        told = json.loads((top / _GOLDEN).read_bytes())
        if told["format"] != 1:
            raise ValueError("only format 1 is known here")
        files = {name for item in told["items"] for name in item["files"]}
        untold = files - told["tolerance"].keys()
        if not files or untold:
            raise ValueError(f"no tolerance for {', '.join(sorted(untold))}" if untold else "it asks nothing")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        message = f"{_GOLDEN} is not of its form: {type(error).__name__}: {error}"
        raise DataLoss(message, reason="BAD_GOLDEN", field=_GOLDEN) from None
    absent = sorted(name for name in files if not (top / "models" / Path(name).name).is_file())
    if absent:
        raise DataLoss(f"{_GOLDEN} asks {absent[0]}, which is not there", reason="BAD_GOLDEN", field=_GOLDEN)
    return len(told["items"]), sorted(files)


def _environment(top: Path) -> dict[str, str]:
    """Nothing of the caller's: no tokens, no PYTHONPATH."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "OMP_NUM_THREADS") if name in os.environ}
    return {**kept, "HOME": str(top.parent), "TMPDIR": str(top.parent), "PYTHONNOUSERSITE": "1"}


def _tell(stdout: str, found: Verification) -> None:
    try:
        told = json.loads(stdout)
        summary, absent = str(told["summary"]), [str(each) for each in told["not_measured"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        found.failed("replay", f"verify.py said nothing of use: {stdout[-_SHOWN:]!r}", "REPLAY_FAILED", "verify.py")
        return
    found.ok("replay", summary, "verify.py")
    found.not_verified_here = [*found.not_verified_here, *(each for each in absent if _SIGNATURE not in each)]
