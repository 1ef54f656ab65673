"""What agents have finished, on disk: each agent's outputs appear whole, by one rename, with their digests.

work/<agent>/          outputs in the making
done/<agent>/          its outputs by name, and RESULT.json
aside/<agent>.<n>/     what was published and is not believed any more; nobody reads it, nothing is lost
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agentforge.kit.agents.failure import WrongOutputs
from agentforge.kit.digests import canonical_json
from agentforge.kit.errors import ForgeError
from agentforge.kit.files import disk_errors, fsync_directory, fsync_tree, make_directories, remove_tree
from agentforge.kit.manifest import manifest, tree_digest

RESULT = "RESULT.json"


@dataclass(frozen=True)
class Result:
    """RESULT.json. `history`: all attempts up to this, as plain data without times."""

    agent: str
    key: str  # of what decided the outputs beside the inputs
    inputs: dict[str, str | None]  # name -> digest; None where it was absent
    outputs: dict[str, str | None]  # None of an agent that was isolated
    measurements: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    isolated: bool = False


def digest(place: Path) -> str | None:
    """Of a file or a directory of files; None where that cannot be read, or is nothing of the kind."""
    try:
        return tree_digest(manifest(place))
    except (ForgeError, OSError):
        return None


def digests(directory: Path, names: Iterable[str]) -> dict[str, str]:
    """Of what an agent has written, which must be these names and no others."""
    wanted, found = set(names), {entry.name for entry in directory.iterdir()}
    for what, differing in (("did not write", wanted - found), ("wrote, undeclared,", found - wanted)):
        if differing:
            raise WrongOutputs(f"it {what} {', '.join(sorted(differing))}")
    taken = {name: digest(directory / name) for name in sorted(wanted)}
    if broken := [name for name, value in taken.items() if value is None]:
        raise WrongOutputs(f"{', '.join(broken)}: neither a regular file nor a directory of some")
    return {name: value for name, value in taken.items() if value is not None}


class Store:
    def __init__(self, directory: Path, given: Mapping[str, Path]) -> None:
        self.directory = directory
        self._given = dict(given)
        with disk_errors(directory):
            make_directories(directory, directory.parent)
            for name in ("work", "done", "aside"):
                make_directories(directory / name, directory)

    def place(self, agent: str | None, name: str) -> Path:
        """Of what an agent published, or of what is given."""
        return self._given[name] if agent is None else self.directory / "done" / agent / name

    def work_place(self, agent: str, *, fresh: bool) -> Path:
        place = self.directory / "work" / agent
        if fresh:
            remove_tree(place)
        place.mkdir(exist_ok=True)
        return place

    def publish(self, result: Result) -> None:
        """A reader sees all of it or nothing, also after a power failure."""
        source, target = self.directory / "work" / result.agent, self.directory / "done" / result.agent
        try:
            (source / RESULT).write_bytes(canonical_json(asdict(result)))
            fsync_tree(source)
            source.rename(target)
        except OSError:
            (source / RESULT).unlink(missing_ok=True)  # the next attempt may go on in this directory
            raise
        fsync_directory(target.parent)

    def recorded(self, agent: str) -> Result | None:
        """What it said when it published, whatever has become of that."""
        try:
            return Result(**json.loads((self.directory / "done" / agent / RESULT).read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def is_whole(self, result: Result) -> bool:
        """Whether all that it published is still what it was, to the bit."""
        places = {name: self.place(result.agent, name) for name in result.outputs}
        return all(digest(places[name]) == value for name, value in result.outputs.items())

    def set_aside(self, agent: str) -> None:
        source = self.directory / "done" / agent
        if not source.exists():
            return
        number = 1
        while (target := self.directory / "aside" / f"{agent}.{number}").exists():
            number += 1
        source.rename(target)
        fsync_directory(source.parent)
