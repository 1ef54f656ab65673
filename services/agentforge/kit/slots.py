"""Which artifact goes into which slot: by name where that is a slot's, else by kind into the first with room."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agentforge.kit.errors import Violation
from agentforge.kit.phase import Slot
from agentforge.kit.refs import ArtifactRef

Assigned = dict[str, list[ArtifactRef]]


def assign(slots: Sequence[Slot], artifacts: Iterable[ArtifactRef]) -> tuple[Assigned, list[Violation]]:
    """Every slot's artifacts, in the order in which they were given, and all that does not fit."""
    assigned: Assigned = {slot.name: [] for slot in slots}
    violations = []
    waiting = []
    for artifact in artifacts:
        named = [slot for slot in slots if slot.name == artifact.name and slot.kind == artifact.kind]
        if named and _has_room(named[0], assigned):
            assigned[artifact.name].append(artifact)
        else:
            waiting.append(artifact)
    for artifact in waiting:
        fitting = [slot for slot in slots if slot.kind == artifact.kind]
        free = [slot for slot in fitting if _has_room(slot, assigned)]
        if free:
            assigned[free[0].name].append(artifact)
        else:
            violations.append(_unfit(artifact, fitting, slots))
    return assigned, violations + [_too_few(s, assigned) for s in slots if len(assigned[s.name]) < s.min_count]


def _has_room(slot: Slot, assigned: Assigned) -> bool:
    return slot.max_count is None or len(assigned[slot.name]) < slot.max_count


def _unfit(artifact: ArtifactRef, fitting: list[Slot], slots: Sequence[Slot]) -> Violation:
    if fitting:
        most = sum(slot.max_count or 0 for slot in fitting)
        message = f"artifact {artifact.name!r} is one too many: at most {most} of kind {artifact.kind!r}"
        return Violation(artifact.name, message, "TOO_MANY_ARTIFACTS", "Leave out one of them.")
    kinds = ", ".join(sorted({slot.kind for slot in slots})) or "none"
    message = f"artifact {artifact.name!r} is of kind {artifact.kind!r}, for which there is no place"
    return Violation(artifact.name, message, "WRONG_KIND", f"Kinds with a place: {kinds}.")


def _too_few(slot: Slot, assigned: Assigned) -> Violation:
    message = (
        f"{slot.name}: {len(assigned[slot.name])} of kind {slot.kind!r} given, at least {slot.min_count} needed"
    )
    return Violation(slot.name, message, "MISSING_ARTIFACT", f"Give {slot.name}: {slot.description or slot.kind}.")
