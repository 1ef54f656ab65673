"""From what is asked to a plan: which phases, with which configs, and whether each one's outputs fit the next."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from agentforge.kit import artifacts
from agentforge.kit.errors import ForgeError, InvalidInput, Unavailable, Violation
from agentforge.kit.records import from_struct
from agentforge.kit.serve.errors import violations_of
from agentforge.v1 import artifact_pb2, phase_pb2
from agentforge_gateway.flow import check_flow
from agentforge_gateway.links import Link, Links
from agentforge_gateway.models import Artifact, PipelineSpec, PlannedPhase
from agentforge_gateway.protojson import slots_of


class Planner:
    """Asks every phase service, and collects all that is wrong before it complains."""

    def __init__(self, links: Links, home: Path) -> None:
        self._links = links
        self._home = home

    async def plan(self, spec: PipelineSpec) -> tuple[PipelineSpec, list[PlannedPhase], list[Violation]]:
        """The spec with the digests of its inputs, the plan as far as it could be made, and all violations."""
        names, violations = self._selected(spec)
        if violations:
            return spec, [], violations
        inputs, bad_inputs = await self._identified(spec.inputs)
        asked = await asyncio.gather(*(self._phase(self._links[name], spec) for name in names))
        phases = [phase for phase, _ in asked]
        wrong = [violation for _, several in asked for violation in several]
        violations = [*bad_inputs, *check_flow(phases, spec.inputs), *dict.fromkeys(wrong)]
        if not violations and phases and phases[0] is not None:
            violations = await self._first_inputs(phases[0], inputs)
        known = [phase for phase in phases if phase is not None]
        return spec.model_copy(update={"inputs": inputs}), known, violations

    def _selected(self, spec: PipelineSpec) -> tuple[Sequence[str], list[Violation]]:
        names = self._links.names
        violations: list[Violation] = []
        for field in ("from_phase", "until_phase"):
            if (name := getattr(spec, field)) and name not in names:
                violations += violations_of(self._links.unknown(name, field))
        violations += [v for n in spec.config if n not in names for v in violations_of(self._links.unknown(n, n))]
        if not names:
            violations.append(Violation("", "this installation has no phases yet", "NO_PHASES"))
        if violations:
            return (), violations
        first = names.index(spec.from_phase) if spec.from_phase else 0
        last = names.index(spec.until_phase) if spec.until_phase else len(names) - 1
        if first > last:
            message = f"from_phase {names[first]!r} comes after until_phase {names[last]!r}"
            return (), [Violation("until_phase", message, "PHASE_ORDER", f"The order is {', '.join(names)}.")]
        chosen = names[first : last + 1]
        return chosen, [
            Violation(
                name,
                f"there is a config for {name}, but the run goes from {chosen[0]} to {chosen[-1]}",
                "PHASE_NOT_IN_RUN",
                "Leave it out, or choose another first or last phase.",
            )
            for name in spec.config
            if name not in chosen
        ]

    async def _identified(self, inputs: Sequence[Artifact]) -> tuple[list[Artifact], list[Violation]]:
        """Inputs with their digests: computed where none is given, checked where one is."""
        found: list[Artifact] = []
        violations: list[Violation] = []
        for i, artifact in enumerate(inputs):
            try:
                found.append(await asyncio.to_thread(_identify, self._home, artifact))
            except ForgeError as error:
                for v in violations_of(error):
                    violations.append(Violation(f"inputs[{i}].path", v.message, v.reason, v.next_step))
        return found, violations

    async def _phase(self, link: Link, spec: PipelineSpec) -> tuple[PlannedPhase | None, list[Violation]]:
        try:
            description = await link.describe()
            answer = await link.validate(spec.config.get(link.name, {}), preset=spec.preset)
        except ForgeError as error:
            return None, [_dotted(link.name, v) for v in violations_of(error)]
        phase = PlannedPhase(
            phase=link.name,
            target=link.target,
            config=from_struct(answer.resolved_config),
            config_digest=answer.config_digest,
            takes=slots_of(description.takes),
            makes=slots_of(description.makes),
        )
        return phase, [_dotted(link.name, v) for v in said(answer)]

    async def _first_inputs(self, phase: PlannedPhase, inputs: Sequence[Artifact]) -> list[Violation]:
        """The first phase looks at the run's own inputs before anything starts."""
        taken = {slot.kind for slot in phase.takes}
        given = [artifact_to_proto(artifact) for artifact in inputs if artifact.kind in taken]
        try:
            answer = await self._links[phase.phase].validate(phase.config, inputs=given)
        except ForgeError as error:
            return [_dotted(phase.phase, v) for v in violations_of(error)]
        return [_dotted(phase.phase, v) for v in said(answer)]


def said(answer: phase_pb2.ValidateConfigResponse) -> list[Violation]:
    return [Violation(v.field, v.message, v.reason, v.next_step) for v in answer.violations]


def refusal(violations: Sequence[Violation]) -> ForgeError:
    """One error for all of them: try again later, if nothing is wrong but a service that does not answer."""
    whole = InvalidInput.of(violations)
    if any(violation.reason != "PHASE_UNREACHABLE" for violation in violations):
        return whole
    return Unavailable(
        whole.message, reason=whole.reason, field=whole.field, next_step=whole.next_step, violations=violations
    )


def artifact_to_proto(artifact: Artifact) -> artifact_pb2.Artifact:
    return artifact_pb2.Artifact(**artifact.model_dump())


def _identify(home: Path, artifact: Artifact) -> Artifact:
    if not artifact.sha256:
        ref = artifacts.describe(home, artifact.path, artifact.name, artifact.kind)
        artifact = Artifact(**ref.to_json())
    artifacts.verify(home, artifacts.ArtifactRef.from_json(artifact.model_dump()))
    return artifact


def _dotted(phase: str, violation: Violation) -> Violation:
    """The field as the whole run calls it: "evomerge.generations". Presets and inputs are the run's own."""
    field = violation.field.removeprefix("config.")
    if field.startswith(("inputs", "preset")) or field == phase:
        return violation
    message = violation.message
    for said_before in (violation.field, field):
        if said_before and message.startswith(said_before):
            message = f"{phase}.{field}{message.removeprefix(said_before)}"
            break
    dotted = f"{phase}.{field}" if field else phase
    return Violation(dotted, message, violation.reason, violation.next_step)
