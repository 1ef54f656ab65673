"""Broken lines: counted, put aside with their place, and too many of them stop the reading."""

from __future__ import annotations

import json
from pathlib import Path

from agentforge.kit.errors import InvalidInput

_KEPT = 2_000  # characters of a broken line that are put aside


class Quarantine:
    """`limit` lines may be broken; 0 refuses the first. Reading again (a resume, an epoch) counts nothing twice."""

    def __init__(self, limit: int = 0, path: Path | None = None) -> None:
        self.limit, self.path = limit, path
        self._seen: set[tuple[str, int]] = set()
        if path is not None and path.exists():
            records = map(json.loads, path.read_text().splitlines())
            self._seen = {(record["file"], record["offset"]) for record in records}

    @property
    def count(self) -> int:
        return len(self._seen)

    def put(self, file: Path, offset: int, line: bytes, why: str) -> None:
        if (str(file), offset) in self._seen:
            return
        self._seen.add((str(file), offset))
        if self.path is not None:
            shown = line[:_KEPT].decode(errors="replace")
            with self.path.open("a") as out:
                out.write(json.dumps({"file": str(file), "offset": offset, "why": why, "line": shown}) + "\n")
        if self.count > self.limit:
            where = f"{file}, byte {offset}: {why}"
            message = f"{self.count} broken lines, {self.limit} allowed; the last is {where}"
            step = "Mend the file or raise the limit." + (f" The lines are in {self.path}." if self.path else "")
            raise InvalidInput(message, reason="TOO_MANY_BROKEN_LINES", field=str(file), next_step=step)
