"""Python's own standard library: text that is on every machine. It differs between versions, not machines."""

from __future__ import annotations

import ast
import os
import platform
import sysconfig
import tokenize
import warnings
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from agentforge.data.sources.documents import START, Cursor, Document
from agentforge.kit.data_notes import note

_LEFT_OUT = frozenset({"site-packages", "dist-packages", "test", "tests", "idle_test", "lib2to3", "__pycache__"})


class Part(StrEnum):
    SOURCE = "source"  # one document per module
    DOCSTRINGS = "docstrings"  # one document per docstring; its split is its module's


class StandardLibrary:
    """About 660 modules: 12 MB of source, 1.7 MB of docstrings. Only `every` n-th module, where less will do."""

    def __init__(self, part: Part = Part.SOURCE, *, every: int = 1) -> None:
        self.part = part
        self.name = f"stdlib/{part}"
        self.root = Path(sysconfig.get_path("stdlib"))
        self.files = sorted(self._found())[::every]
        note(self.name, f"modules of Python {platform.python_version()}'s library", self._pieces)

    def _found(self) -> Iterator[Path]:
        """Without a look into what is left out: installed packages are many."""
        for place, folders, names in os.walk(self.root):
            folders[:] = [each for each in folders if each not in _LEFT_OUT]
            every = (Path(place, name) for name in names if name.endswith(".py"))
            yield from (path for path in every if _is_wanted(path.relative_to(self.root)))

    def _pieces(self) -> Iterator[str]:
        for file in self.files:
            yield f"{file.relative_to(self.root).as_posix()}\0{_source(file)}"

    def read(self, cursor: Cursor = START) -> Iterator[tuple[Document, Cursor]]:
        first, start = cursor
        for number in range(first, len(self.files)):
            source = _source(self.files[number])
            origin = self.files[number].relative_to(self.root).as_posix()
            texts = [source] if self.part is Part.SOURCE else _docstrings(source)
            for place in range(start, len(texts)):
                yield Document(texts[place], f"{origin}#{place}", key=source.strip()), (number, place + 1)
            start = 0


def _is_wanted(path: Path) -> bool:
    """Not tests, not what is installed on this machine, not what describes this machine's build."""
    of_build = any(part.startswith(("config-", "_sysconfigdata")) for part in path.parts)
    return not of_build and _LEFT_OUT.isdisjoint(path.parts)


def _source(path: Path) -> str:
    with tokenize.open(path) as file:  # honours a coding line
        return file.read()


def _docstrings(source: str) -> list[str]:
    with warnings.catch_warnings(action="ignore", category=SyntaxWarning):
        tree = ast.parse(source)
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds))
    return [text for text in found if text]
