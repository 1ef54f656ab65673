"""A run's inputs as the phase sees them: verified files under the names of its slots."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agentforge.kit.artifacts import verify
from agentforge.kit.errors import ForgeError, InvalidInput
from agentforge.kit.phase import Slot
from agentforge.kit.refs import ArtifactRef
from agentforge.kit.slots import assign


@dataclass(frozen=True, slots=True)
class InputPath:
    """An input whose bytes are what its digest says. It is never written to."""

    name: str
    kind: str
    path: Path
    sha256: str

    @property
    def field(self) -> str:
        """Its name in what is told of a request."""
        return f"inputs.{self.name}"

    @contextlib.contextmanager
    def named_in_errors(self) -> Iterator[None]:
        """What is raised within is about this input, and says so."""
        try:
            yield
        except ForgeError as error:
            error.field = f"{self.field}: {error.field}"
            raise


class Inputs:
    def __init__(self, by_slot: dict[str, list[InputPath]]) -> None:
        self._by_slot = by_slot

    @classmethod
    def verified(cls, home: Path, slots: Sequence[Slot], refs: Iterable[ArtifactRef]) -> Inputs:
        """Hash every input and compare; raise one error for all that does not fit into the slots."""
        assigned, violations = assign(slots, refs)
        if violations:
            raise InvalidInput.of(violations)
        return cls({slot: [_verified(home, ref) for ref in refs] for slot, refs in assigned.items()})

    def one(self, slot: str) -> InputPath:
        """The input of a slot that takes exactly one."""
        found = self.many(slot)
        if len(found) != 1:
            raise InvalidInput(f"slot {slot!r} holds {len(found)} inputs, one is needed", field=slot)
        return found[0]

    def maybe(self, slot: str) -> InputPath | None:
        """The input of a slot that takes at most one."""
        return self.one(slot) if self.many(slot) else None

    def many(self, slot: str) -> tuple[InputPath, ...]:
        """All of a slot, in the order in which they were given."""
        return tuple(self._by_slot[slot])


def _verified(home: Path, ref: ArtifactRef) -> InputPath:
    return InputPath(ref.name, ref.kind, verify(home, ref), ref.sha256)
