"""What agent.pyz holds besides its program. Large files lie in pieces: name/000, name/001, …"""

from __future__ import annotations

import hashlib
import json
import zipimport
from itertools import count
from typing import Any

from ..runtime.errors import BrokenPackage

ABOUT = "about.json"  # what it is, and the digests of all other files


class Archive:
    def __init__(self, path: str) -> None:
        self.path = path
        self._zip = zipimport.zipimporter(path)
        self.about: dict[str, Any] = self.json(ABOUT)

    def read(self, name: str) -> bytes:
        pieces: list[bytes] = []
        for number in count():
            try:
                pieces.append(self._zip.get_data(f"{name}/{number:03}"))
            except OSError:
                break
        if not pieces:
            raise BrokenPackage(f"{name} is missing")
        return b"".join(pieces)

    def json(self, name: str) -> Any:
        return json.loads(self.read(name).decode("utf-8"))

    def faults(self) -> list[str]:
        """One sentence for each file that is not what was packed. Code is told by its path."""
        found = []
        for name, digest in sorted(self.about["files"].items()):
            try:
                data = self._zip.get_data(name) if name.endswith(".py") else self.read(name)
            except (OSError, BrokenPackage):
                found.append(f"{name} is missing")
                continue
            if hashlib.sha256(data).hexdigest() != digest:
                found.append(f"{name} is not what was packed")
        return found
