"""Checks of what runs on the device, as far as a host can make them: syntax, and the calibration's shape."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
from pathlib import Path

from agentforge.edge.package.manifest import Manifest
from agentforge.edge.package.verdict import Verification
from agentforge.kit.errors import DataLoss

_CACHE, _PROVENANCE = "calibration/calibration.cache", "calibration/provenance.json"
_MODEL = "models/model.onnx"
_DEVICE_PYTHON = (3, 8)


def check_python(top: Path, manifest: Manifest, found: Verification) -> None:
    """Grammar only: what a name or a library lacks in 3.8 shows when it runs there."""
    files = [path for path in manifest.files if path.endswith(".py")]
    wrong = False
    for path in files:
        try:
            ast.parse((top / path).read_bytes(), path, feature_version=_DEVICE_PYTHON)
        except (SyntaxError, ValueError, RecursionError) as error:
            line = f" (line {error.lineno})" if isinstance(error, SyntaxError) and error.lineno else ""
            said = error.msg if isinstance(error, SyntaxError) else str(error)
            found.failed("python 3.8", f"{path}: {said}{line}", "NOT_PYTHON_38", path)
            wrong = True
    if not wrong:
        found.ok("python 3.8", f"{len(files)} files are of its grammar")


def check_shell(top: Path, found: Verification) -> None:
    bash = shutil.which("bash")
    if bash is None:
        found.not_checked("build_engine.sh", "there is no bash here to read it", "Install bash.")
        return
    done = subprocess.run([bash, "-n", "build_engine.sh"], cwd=top, capture_output=True, text=True, timeout=60)
    if done.returncode:
        found.failed("build_engine.sh", done.stderr.strip()[:300], "NOT_BASH", "build_engine.sh")
    else:
        found.ok("build_engine.sh", "read by bash -n; not run")


def check_calibration(top: Path, manifest: Manifest, found: Verification) -> None:
    """The cache is of the very model beside it: scales of another one would be taken without a word."""
    if not (top / _CACHE).exists():
        return
    try:
        from agentforge.edge.quantise.ranges import parse_cache
    except ModuleNotFoundError as error:
        found.not_checked(
            "calibration", f"the package {error.name!r} is not installed", "pip install 'agentforge[onnx]'"
        )
        return
    with found.about("calibration"):
        scales = parse_cache((top / _CACHE).read_text("utf-8", "replace"))
        if not scales:
            raise _bad(_CACHE, "holds no scale")
        _check_provenance(top, manifest)
        found.ok("calibration", f"{len(scales)} scales, made of the {_MODEL} beside them", _CACHE)


def _check_provenance(top: Path, manifest: Manifest) -> None:
    try:
        told = json.loads((top / _PROVENANCE).read_bytes())
        model = told["model_sha256"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _bad(_PROVENANCE, f"does not say what was calibrated: {type(error).__name__}: {error}") from None
    if model != manifest.files[_MODEL].sha256:
        raise _bad(_PROVENANCE, f"is of another model ({str(model)[:12]}…) than {_MODEL}")


def _bad(file: str, why: str) -> DataLoss:
    step = "Calibrate again, with the model that the package holds."
    return DataLoss(f"{file} {why}", reason="BAD_CALIBRATION", field=file, next_step=step)
