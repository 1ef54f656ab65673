"""Which data a run has read: noted by what makes or reads it, without the phase's doing, and kept in DONE.json.

Notes lie in the run's work directory, so that a run that was killed and resumed tells of all that it read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from agentforge.kit.digests import canonical_json, digest_json
from agentforge.kit.files import make_directories, write_atomic
from agentforge.kit.refs import DataNote

_place: tuple[Path, Path] | None = None  # where notes go, and the root of its volume
_told: set[str] = set()


@contextlib.contextmanager
def noting(place: Path, root: Path) -> Iterator[None]:
    """Within, this process and its forks write notes to `place`."""
    global _place
    _told.clear()
    _place = place, root
    try:
        yield
    finally:
        _place = None


def note(name: str, what: str, pieces: Callable[[], Iterable[str]]) -> None:
    """Nothing outside of a run, and nothing the second time: then `pieces` is not asked for."""
    if _place is None or (key := digest_json([name, what])) in _told:
        return
    _told.add(key)
    digest, count = hashlib.sha256(), 0
    for piece in pieces():
        raw = piece.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "little") + raw)
        count += 1
    found = DataNote(name=name, what=what, count=count, sha256=digest.hexdigest())
    make_directories(*_place)
    write_atomic(_place[0] / f"{key[:32]}.json", canonical_json(found))


def noted(place: Path) -> list[DataNote]:
    found: list[DataNote] = [json.loads(path.read_bytes()) for path in place.glob("*.json")]
    return sorted(found, key=lambda one: (one["name"], one["what"]))
