"""Digests: of JSON by its canonical form, of files by their bytes, of code by its sources."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

EXPERIMENTS = "experiments"
"""Folder of a package: what measures it, and what was measured. It decides no output, so no digest holds it."""


def canonical_json(value: Any) -> bytes:
    """One byte string per value: sorted keys, no spaces, NaN refused."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def digest_json(value: Any) -> str:
    return hashlib.sha256(canonical_json(value)).hexdigest()


def digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.cache
def digest_code(*packages: str) -> str:
    """Digest of the Python, YAML and C++ sources of these packages, which are found but not imported."""
    sources = {}
    for package in packages:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"no package {package!r} to take the digest of")
        origin = Path(spec.origin)
        files = [origin] if origin.name != "__init__.py" else sorted(origin.parent.rglob("*"))
        for file in files:
            relative = file.relative_to(origin.parent)
            if file.suffix in {".py", ".yaml", ".cpp", ".hpp", ".cu"} and EXPERIMENTS not in relative.parts:
                sources[f"{package}:{relative.as_posix()}"] = digest_file(file)
    return digest_json(sources)
