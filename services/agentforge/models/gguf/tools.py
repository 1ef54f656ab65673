"""The two optional packages: gguf (gguf-py) writes files, llama_cpp (llama-cpp-python) runs them."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from agentforge.kit.errors import MissingTool, Violation

EXTRAS = {"gguf": "gguf", "llama_cpp": "llama"}


def tool(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        message, step = _told(package)
        raise MissingTool(message, field=package, next_step=step) from error


def missing(field: str) -> list[Violation]:
    """Of both, without importing them. `field`: of the request, that wants them."""
    absent = [package for package in EXTRAS if importlib.util.find_spec(package) is None]
    return [Violation(field, message, "MISSING_TOOL", step) for message, step in map(_told, absent)]


def _told(package: str) -> tuple[str, str]:
    return (
        f"a GGUF file needs the package {package!r}, which is not installed",
        f"Install it: pip install 'agentforge[{EXTRAS[package]}]'.",
    )
