"""How artifacts go from phase to phase: which outputs are whose inputs, at plan time and at run time."""

from __future__ import annotations

import math
from collections.abc import Sequence

from agentforge.kit.errors import Violation
from agentforge_gateway.models import Artifact, PlannedPhase, Slot


def choose_inputs(takes: Sequence[Slot], made: Sequence[Sequence[Artifact]]) -> list[Artifact]:
    """For each kind that is taken, all that its latest maker made.

    `made`: the run's inputs, then the outputs of each phase before.
    """
    chosen: list[Artifact] = []
    for kind in dict.fromkeys(slot.kind for slot in takes):
        latest = next((found for group in reversed(made) if (found := [a for a in group if a.kind == kind])), [])
        chosen += latest
    return chosen


def check_flow(plan: Sequence[PlannedPhase | None], inputs: Sequence[Artifact]) -> list[Violation]:
    """All that does not fit. A phase whose service does not answer is None, and may make anything."""
    violations: list[Violation] = []
    used: set[str] = set()
    for position, phase in enumerate(plan):
        if phase is None:
            continue
        for kind in dict.fromkeys(slot.kind for slot in phase.takes):
            maker = _maker(kind, plan[:position])
            if maker is None:
                used.add(kind)
                given = float(sum(artifact.kind == kind for artifact in inputs))
                available = (given, given)
            elif isinstance(maker, PlannedPhase):
                available = _bounds([slot for slot in maker.makes if slot.kind == kind])
            else:
                continue
            violations += _fit(phase, kind, available, maker)
    if None not in plan:
        violations += _unused(inputs, used)
    return violations


def _maker(kind: str, before: Sequence[PlannedPhase | None]) -> PlannedPhase | str | None:
    """The phase whose outputs are taken; None for the run's own inputs; "unknown" behind a silent service."""
    for phase in reversed(before):
        if phase is None:
            return "unknown"
        if any(slot.kind == kind for slot in phase.makes):
            return phase
    return None


def _bounds(slots: Sequence[Slot]) -> tuple[float, float]:
    return sum(slot.min_count for slot in slots), sum(slot.max_count or math.inf for slot in slots)


def _fit(
    phase: PlannedPhase, kind: str, available: tuple[float, float], maker: PlannedPhase | str | None
) -> list[Violation]:
    least, most = _bounds([slot for slot in phase.takes if slot.kind == kind])
    if available[1] >= least and available[0] <= most:
        return []
    wanted = f"at least {least:g}" if most == math.inf else _count((least, most))
    if isinstance(maker, PlannedPhase):
        found, field = f"{maker.phase} makes {_count(available)}", phase.phase
        next_step = "Choose another first or last phase, or other settings of the phase that makes them."
    else:
        found, field = f"the run's inputs hold {available[0]:g}", "inputs"
        next_step = f"Pass it with --input (kind {kind!r}), or start at a phase that makes it."
    message = f"{phase.phase} takes {wanted} of kind {kind!r}, but {found}"
    return [Violation(field, message, "INPUT_COUNT" if available[1] else "MISSING_INPUT", next_step)]


def _count(bounds: tuple[float, float]) -> str:
    return f"{bounds[0]:g}" if bounds[0] == bounds[1] else f"{bounds[0]:g} to {bounds[1]:g}"


def _unused(inputs: Sequence[Artifact], used: set[str]) -> list[Violation]:
    return [
        Violation(
            f"inputs[{i}].kind",
            f"input {artifact.name!r} is of kind {artifact.kind!r}, which no phase takes from the run's inputs",
            "WRONG_KIND",
            f"Wanted: {', '.join(sorted(used)) or 'none'}.",
        )
        for i, artifact in enumerate(inputs)
        if artifact.kind not in used
    ]
