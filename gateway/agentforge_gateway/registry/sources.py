"""What is to be registered: an output of a finished run, in place, or something on the volume to be copied."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agentforge.kit.artifacts import ArtifactRef, verify
from agentforge.kit.errors import FailedPrecondition, InvalidInput, NotFound
from agentforge.kit.manifest import manifest, tree_digest
from agentforge.kit.paths import check_name, check_run_id, resolve_inside
from agentforge.kit.rundir import RunDirectory
from agentforge.kit.verify import ref_of
from agentforge_gateway.models import Artifact, Run
from agentforge_gateway.registry.admission import MODEL, check_model
from agentforge_gateway.registry.importing import import_model


def is_run(source: str) -> bool:
    """RUN_ID[:PHASE[/OUTPUT]], and not a path."""
    return "/" not in source.partition(":")[0]


def split_run(source: str) -> tuple[str, str, str]:
    run_id, _, rest = source.partition(":")
    phase, _, output = rest.partition("/")
    check_run_id(run_id)
    for name, field in ((phase, "phase"), (output, "output")):
        if name:
            check_name(name, field)
    return run_id, phase, output


def from_run(home: Path, source: str, pipeline: Run | None) -> ArtifactRef:
    """Of a pipeline's run without a phase: the last that made a model. Reused outputs are those of their run."""
    run_id, phase, output = split_run(source)
    outputs = list(_outputs(home, run_id, phase, pipeline))
    if output:
        chosen = [ref for ref in outputs if ref.name == output]
    else:
        chosen = [ref for ref in outputs if ref.kind == MODEL] or (outputs if len(outputs) == 1 else [])
    if len(chosen) != 1:
        names = ", ".join(sorted(ref.name for ref in outputs)) or "none"
        what = f"no output {output!r}" if output else f"{len(chosen)} models among its outputs: which is meant?"
        raise InvalidInput(
            f"{source!r} has {what}",
            reason="AMBIGUOUS_OUTPUT" if not output else "UNKNOWN_OUTPUT",
            field="source",
            next_step=f"Write RUN_ID:PHASE/OUTPUT; its outputs: {names}.",
        )
    verify(home, chosen[0])
    return chosen[0]


def from_path(home: Path, path: str, name: str) -> ArtifactRef:
    place = resolve_inside(home, path, field="source")
    parts = place.relative_to(home).parts
    if parts[0] == "runs":
        if len(parts) == 5 and parts[3] == "output":
            return from_run(home, f"{parts[1]}:{parts[2]}/{parts[4]}", None)
        raise InvalidInput(
            f"{path!r} is no output of a run",
            reason="NOT_AN_OUTPUT",
            field="source",
            next_step="Write RUN_ID:PHASE/OUTPUT, or runs/RUN_ID/PHASE/output/OUTPUT.",
        )
    if parts[0] == "imports" and len(parts) == 3:
        entries = manifest(place)
        if tree_digest(entries) == parts[1]:
            ref = ref_of(home, place, parts[2], MODEL, entries)
            return ArtifactRef(ref.name, check_model(place), ref.path, ref.sha256, ref.size_bytes)
    if not place.exists():
        message = f"there is nothing at {path!r} on the volume"
        raise NotFound(message, reason="ARTIFACT_NOT_FOUND", field="source", next_step="Correct the path.")
    return import_model(home, place, name)


def _outputs(home: Path, run_id: str, phase: str, pipeline: Run | None) -> Sequence[ArtifactRef]:
    if pipeline is not None:
        phases = [one for one in pipeline.phases if one.outputs and phase in ("", one.phase)]
        with_model = [one for one in phases if any(ref.kind == MODEL for ref in one.outputs)]
        if chosen := (with_model or phases)[-1:]:
            return [_ref(artifact) for artifact in chosen[0].outputs]
    folder = home / "runs" / run_id
    names = [phase] if phase else sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    found = [(name, RunDirectory(home, run_id, name)) for name in names if not name.startswith(".")]
    done = [(name, record) for name, run in found if run.exists() and (record := run.done())]
    if len(done) == 1:
        return done[0][1].outputs
    raise FailedPrecondition(
        f"run {run_id!r} has {'no finished phase' if not done else 'several finished phases'}"
        + (f" {phase!r}" if phase else ""),
        reason="RUN_NOT_FINISHED" if not done else "AMBIGUOUS_OUTPUT",
        field="source",
        next_step="Wait for it to succeed." if not done else f"Name one: {', '.join(name for name, _ in done)}.",
    )


def _ref(artifact: Artifact) -> ArtifactRef:
    return ArtifactRef.from_json(artifact.model_dump())
