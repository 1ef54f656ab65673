"""The unpacked package: where things lie, what the manifest says, and whether every file is what was packed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Any

from .contract import Graph, load_graph
from .errors import BrokenPackage

# What the runtime or Python itself reads. A file that nobody packed is as bad there as one that was changed.
READ = ("", "runtime", "models", "tokenizer", "golden")
BACKENDS = ("auto", "tensorrt", "onnxruntime")  # what may be asked for
MADE_HERE = ("manifest.json", "manifest.sig", "verification.json")


class Package:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.manifest_file = root / "manifest.json"
        try:
            self.manifest: dict[str, Any] = json.loads(self.manifest_file.read_text(encoding="utf-8"))
            self.name, self.version = str(self.manifest["name"]), str(self.manifest["version"])
            self.variants: dict[str, dict[str, Any]] = dict(self.manifest["variants"])
            self._files: dict[str, dict[str, Any]] = dict(self.manifest["files"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BrokenPackage(f"{self.manifest_file} is not the manifest of a package: {error!r}") from error

    def graph(self) -> Graph:
        return load_graph(self.root / "models" / "graph.json")

    def model(self, name: str) -> Path:
        return self.root / "models" / name

    def files_for_cpu(self) -> list[str]:
        """Names in models/ that onnxruntime is meant to run, best first."""
        named = [name for name, facts in self.variants.items() if facts.get("for") != "tensorrt"]
        return [name for name in named if self.model(name).is_file()]

    def faults(self) -> list[str]:
        """One sentence for each file that is missing, changed or unknown."""
        found = [words for path, facts in sorted(self._files.items()) for words in self._file_faults(path, facts)]
        return found + [f"{path}: it was not packed" for path in self._strangers()]

    def _file_faults(self, path: str, facts: dict[str, Any]) -> list[str]:
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts:
            return [f"{path}: the manifest names a path outside of the package"]
        file = self.root / pure
        try:
            size, digest = file.stat().st_size, sha256(file)
        except OSError as error:
            return [f"{path}: {error.strerror or error}"]
        if size != facts.get("bytes"):
            return [f"{path}: {size} bytes, and the manifest says {facts.get('bytes')}"]
        return [] if digest == facts.get("sha256") else [f"{path}: its content is not what the manifest says"]

    def _strangers(self) -> list[str]:
        there = [file for folder in READ for file in sorted((self.root / folder).glob("*")) if not file.is_dir()]
        names = [file.relative_to(self.root).as_posix() for file in there]
        return [name for name in names if name not in self._files and name not in MADE_HERE]


def sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
