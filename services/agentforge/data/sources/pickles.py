"""Pickles are programs. They are refused, unless asked for; and then only plain containers and arrays are built."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from agentforge.kit.errors import InvalidInput

# What numpy's arrays are made of. Everything else (os.system, builtins.eval, …) stays unknown.
_ALLOWED = {
    (module, name)
    for package in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy._core.numeric")
    for module, name in (
        (package, "ndarray"),
        (package, "dtype"),
        (package, "_reconstruct"),
        (package, "_frombuffer"),
    )
}


class _Restricted(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it wants {module}.{name}, which is not allowed")
        return super().find_class(module, name)


def load_pickle(path: Path, *, allowed: bool) -> Any:
    if not allowed:
        step = "Convert it to JSONL, Parquet or npy; or set allow_pickle if you made it yourself."
        message = f"{path} is a pickle, which could run code"
        raise InvalidInput(message, reason="PICKLE_REFUSED", field=str(path), next_step=step)
    try:
        with path.open("rb") as file:
            return _Restricted(file).load()
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        AttributeError,
        IndexError,
        ImportError,
    ) as error:
        step = "Only lists, dicts, numbers, strings and numpy arrays are loaded."
        raise InvalidInput(f"{path}: {error}", reason="PICKLE_REFUSED", field=str(path), next_step=step) from error


def read_pickle(path: Path, *, allowed: bool) -> list[str]:
    """A list of strings."""
    value = load_pickle(path, allowed=allowed)
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise InvalidInput(f"{path} does not hold a list of strings", reason="NOT_TEXT", field=str(path))
    return value
