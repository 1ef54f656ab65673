"""Which backend runs, and why: TensorRT where it can, else onnxruntime on the CPU. Told, never silent."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

from .backend import Backend
from .errors import EdgeError, NotPossible
from .package import Package


class Candidate(NamedTuple):
    backend: str
    file: str  # in models/
    precision: str = ""  # of a TensorRT engine


class Choice(NamedTuple):
    backend: Backend
    reason: str

    @property
    def words(self) -> str:
        return f"{self.backend.name} {self.backend.version} runs {self.backend.file}: {self.reason}"


def choose(package: Package, wanted: str = "auto", file: str = "", threads: int = 0) -> Choice:
    """The best that loads. A backend that was asked for by name runs, or nothing does."""
    found, absent = candidates(package, wanted, file)
    for candidate in found:
        try:
            backend = open_backend(package, candidate, threads)
        except EdgeError as error:
            absent.append(f"{candidate.backend} on {candidate.file}: {error}")
        else:
            asked = "asked for" if wanted != "auto" or file else "the best that is here"
            return Choice(backend, "; ".join([asked, *absent]))
    raise NotPossible("nothing can run the model: " + "; ".join(absent))


def candidates(package: Package, wanted: str, file: str = "") -> tuple[list[Candidate], list[str]]:
    """What could run here, best first, and a sentence for each thing that could not."""
    found: list[Candidate] = []
    absent: list[str] = []
    if wanted in ("auto", "tensorrt"):
        try:
            found += _engines(package)
        except EdgeError as error:
            absent.append(f"tensorrt: {error}")
    if wanted in ("auto", "onnxruntime"):
        named = [file] if file and package.model(file).is_file() else package.files_for_cpu()
        found += [Candidate("onnxruntime", name) for name in named]
        absent += [] if named else ["onnxruntime: the package has no file for it"]
    if file:
        found = [each for each in found if each.file == file]
        absent += [] if found else [f"{file}: nothing here can run it"]
    return found, absent


def open_backend(package: Package, candidate: Candidate, threads: int = 0) -> Backend:
    if candidate.backend == "tensorrt":
        backend: Backend = _module("tensorrt_backend").TensorRTBackend(package.root, candidate.precision)
        return backend
    made: Backend = _module("onnx_backend").OnnxBackend(package.model(candidate.file), threads)
    return made


def _engines(package: Package) -> list[Candidate]:
    module = _module("tensorrt_backend")
    return [Candidate("tensorrt", file, precision) for precision, file in module.engines_here(package.root)]


def _module(name: str) -> Any:
    """Imported when needed: a device may lack what another backend wants."""
    try:
        return import_module("." + name, __package__)
    except ImportError as error:
        raise NotPossible(f"{error}") from error
