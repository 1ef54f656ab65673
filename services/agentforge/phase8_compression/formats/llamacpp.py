"""llama.cpp's own quantiser and runtime: the programs in LLAMA_CPP_DIR where it is set, else llama-cpp-python."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from agentforge.kit.errors import MissingTool, RunFailed, Violation

VARIABLE, QUANTISER, SERVER = "LLAMA_CPP_DIR", "llama-quantize", "llama-server"
_STEP = (
    f"Install it: pip install 'agentforge[llama]'; or set {VARIABLE} to a directory with {QUANTISER} and {SERVER}."
)


class Runtime(Protocol):
    def greedy(self, text: str, room: int, eos: int) -> list[int]:
        """New ids, `room` at most, up to and without the end. The text is read by the file's own tokenizer."""


def missing(where: str) -> list[Violation]:
    """Nothing is imported, and nothing run."""
    try:
        if programs() is not None or importlib.util.find_spec("llama_cpp") is not None:
            return []
    except MissingTool as error:
        return error.at(where)
    message = f"{where} needs llama.cpp to quantise its files and to run them, and neither of its two ways is here"
    return [Violation(where, message, "MISSING_TOOL", _STEP)]


def programs() -> Path | None:
    """The directory that LLAMA_CPP_DIR names; None where it names none."""
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    absent = [each for each in (QUANTISER, SERVER) if not os.access(Path(named) / each, os.X_OK)]
    if absent:
        message = f"{VARIABLE} is {named}, and there is no program {' and no '.join(absent)} in it"
        raise MissingTool(message, field=VARIABLE, next_step="Build llama.cpp, or unset it.")
    return Path(named)


def quantise(source: Path, target: Path, kind: str) -> None:
    """`kind`: by llama.cpp's name, as Q4_K_M. On one thread, so that the bytes are the same everywhere."""
    directory = programs()
    if directory is not None:
        from agentforge.phase8_compression.formats.llamacpp_programs import run_quantiser

        run_quantiser(directory / QUANTISER, source, target, kind)
        return
    import llama_cpp

    settings = llama_cpp.llama_model_quantize_default_params()
    settings.nthread, settings.ftype = 1, getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{kind}")
    _quieten()
    code = llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(settings))
    if code or not target.is_file():
        raise RunFailed(f"llama.cpp's quantiser ended with {code} at {kind}", reason="QUANTISER_FAILED", field=kind)


@contextmanager
def opened(file: Path, length: int, threads: int) -> Iterator[Runtime]:
    directory = programs()
    if directory is not None:
        from agentforge.phase8_compression.formats.llamacpp_programs import served

        with served(directory / SERVER, file, length, threads) as server:
            yield server
    else:
        from agentforge.phase8_compression.formats.llamacpp_package import Package

        _quieten()
        with closing(Package(file, length, threads)) as package:
            yield package


@functools.cache
def _quieten() -> Any:
    """It tells of every tensor. What it calls instead is kept for good, as long as the process lives."""
    import llama_cpp

    silent = llama_cpp.llama_log_callback(lambda level, text, data: None)
    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    return silent
