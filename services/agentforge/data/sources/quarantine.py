"""Broken lines: counted, put aside with their place, and too many of them stop the reading."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agentforge.kit.errors import InvalidInput

_KEPT = 2_000  # characters of a broken line that are put aside

BrokenLine = dict[str, Any]
"""file, offset (bytes), why, line (its beginning)."""


class Quarantine:
    """`limit` lines may be broken; 0 refuses the first. Reading again (a resume, an epoch) counts nothing twice.

    They are kept in a file at `path`, or told to `tell`, each once. Files are named as seen from `root`.
    """

    def __init__(
        self,
        limit: int = 0,
        path: Path | None = None,
        *,
        root: Path | None = None,
        tell: Callable[[BrokenLine], object] = lambda record: None,
    ) -> None:
        self.limit, self.path, self.tell = limit, path, tell
        self.root = root.resolve() if root else None
        self.records: list[BrokenLine] = []
        self._seen: set[tuple[str, int]] = set()
        if path is not None and path.exists():
            self.load_state_dict({"records": [json.loads(line) for line in path.read_text().splitlines()]})

    @property
    def count(self) -> int:
        return len(self._seen)

    def put(self, file: Path, offset: int, line: bytes, why: str) -> None:
        name = str(file.relative_to(self.root) if self.root else file)
        if (name, offset) in self._seen:
            return
        record = {"file": name, "offset": offset, "why": why, "line": line[:_KEPT].decode(errors="replace")}
        self._seen.add((name, offset))
        self.records.append(record)
        self.tell(record)
        if self.path is not None:
            with self.path.open("a") as out:
                out.write(json.dumps(record) + "\n")
        if self.count > self.limit:
            where = f"{name}, byte {offset}: {why}"
            lines = f"{self.count:,} broken line{'s' if self.count > 1 else ''}"
            message = f"{lines}, {self.limit:,} allowed; the last is {where}"
            step = "Mend the file or raise the limit." + (f" The lines are in {self.path}." if self.path else "")
            raise InvalidInput(message, reason="TOO_MANY_BROKEN_LINES", field=name, next_step=step)

    def state_dict(self) -> dict[str, Any]:
        return {"records": list(self.records)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.records = list(state["records"])
        self._seen = {(record["file"], record["offset"]) for record in self.records}
