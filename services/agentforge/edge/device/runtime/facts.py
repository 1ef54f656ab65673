"""What this device is. What it does not tell is None, and the reader is told so."""

from __future__ import annotations

import os
import platform
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

LIBRARIES = ("numpy", "onnxruntime", "tensorrt", "grpc", "tokenizers")


def device_facts() -> dict[str, Any]:
    return {
        "model": read_text("/proc/device-tree/model"),
        "l4t": read_text("/etc/nv_tegra_release"),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "cores": os.cpu_count(),
        "memory_bytes": _kilobytes("/proc/meminfo", "MemTotal"),
        "python": sys.version.split()[0],
        "libraries": {name: _version(name) for name in LIBRARIES},
    }


def peak_memory() -> int | None:
    """Bytes that this process held at most."""
    return _kilobytes("/proc/self/status", "VmHWM")


def read_text(path: str) -> str | None:
    try:
        first = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()[:1]
    except OSError:
        return None
    return first[0].strip("\0 ") if first else None


def _kilobytes(path: str, name: str) -> int | None:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith(name + ":")]
    return int(found[0]) * 1024 if found else None


def _version(name: str) -> str | None:
    try:
        return str(import_module(name).__version__)
    except (ImportError, AttributeError):
        return None
