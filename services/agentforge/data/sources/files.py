"""The user's own files as documents: text, JSONL, Parquet, HDF5, and pickles where allowed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from agentforge.data.sources.documents import START, Cursor, Document
from agentforge.data.sources.formats import read_hdf5, read_jsonl, read_parquet, read_text
from agentforge.data.sources.pickles import read_pickle
from agentforge.data.sources.quarantine import Quarantine
from agentforge.data.sources.roots import find_files

SUFFIXES = (".txt", ".md", ".py", ".jsonl", ".parquet", ".h5", ".hdf5", ".pkl", ".pickle")


class FileSource:
    """Files and folders below `root`, by suffix. `field` names the column, dataset or key that holds the text."""

    def __init__(
        self,
        paths: Sequence[Path],
        root: Path,
        *,
        field: str = "text",
        broken: Quarantine | None = None,
        allow_pickle: bool = False,
        name: str = "files",
    ) -> None:
        self.root = root.resolve()
        self.files = find_files(paths, root, SUFFIXES)
        self.field, self.allow_pickle, self.name = field, allow_pickle, name
        self.broken = broken or Quarantine()

    def read(self, cursor: Cursor = START) -> Iterator[tuple[Document, Cursor]]:
        first, start = cursor
        for number in range(first, len(self.files)):
            origin = self.files[number].relative_to(self.root).as_posix()
            for text, place in self._pieces(self.files[number], start):
                yield Document(text, f"{origin}@{place}"), (number, place)
            start = 0

    def _pieces(self, path: Path, start: int) -> Iterator[tuple[str, int]]:
        match path.suffix:
            case ".jsonl":
                return read_jsonl(path, start, self.field, self.broken)
            case ".parquet":
                return read_parquet(path, start, self.field)
            case ".h5" | ".hdf5":
                return read_hdf5(path, start, self.field)
            case ".pkl" | ".pickle":
                values = read_pickle(path, allowed=self.allow_pickle)
                return ((text, row + 1) for row, text in enumerate(values) if row >= start)
            case _:
                return read_text(path, start)
