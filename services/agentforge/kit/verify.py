"""Artifacts as inputs: named by what is in them, and read again before use."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from agentforge.kit.errors import DataLoss, FailedPrecondition, InvalidInput, NotFound
from agentforge.kit.manifest import first_difference, manifest, total_size, tree_digest
from agentforge.kit.paths import resolve_inside
from agentforge.kit.refs import ArtifactRef, FileEntry
from agentforge.kit.rundir import RunDirectory

IMPORT_RECORD = ".manifest.json"
"""Beside an imported artifact: its manifest, so that a changed file can be named."""


def describe(home: Path, path: str, name: str, kind: str) -> ArtifactRef:
    """Read the files at `path` (relative to the volume) and name them by their digest."""
    place = resolve_inside(home, path)
    return ref_of(home, place, name, kind, manifest(place))


def verify(home: Path, ref: ArtifactRef) -> Path:
    """Read the artifact's files again; give their place when they are what the reference says."""
    place = resolve_inside(home, ref.path, field=f"inputs.{ref.name}.path")
    expected = _recorded_files(home, place, ref)
    if not ref.sha256:
        message = f"input {ref.name!r} ({ref.path}) has no digest to be verified by"
        raise InvalidInput(message, reason="MISSING_DIGEST", field=f"inputs.{ref.name}.sha256")
    try:
        found = manifest(place)
    except (NotFound, InvalidInput) as error:
        if expected is None or error.reason not in ("ARTIFACT_NOT_FOUND", "EMPTY_ARTIFACT"):
            raise
        found = []
    if tree_digest(found) == ref.sha256:
        return place
    raise altered(place, ref, expected, found)


def ref_of(home: Path, place: Path, name: str, kind: str, entries: Sequence[FileEntry]) -> ArtifactRef:
    path = place.relative_to(home).as_posix()
    return ArtifactRef(name, kind, path, tree_digest(entries), total_size(entries))


def altered(
    place: Path, ref: ArtifactRef, expected: Sequence[FileEntry] | None, found: Sequence[FileEntry]
) -> DataLoss:
    """The error that names the first file which is not what it was, as far as the old manifest is known."""
    difference = first_difference(expected, found) if expected is not None else None
    if difference is None:
        where, what = place, f"has the digest {tree_digest(found)[:12]}…, not {ref.sha256[:12]}…"
        reason = "ARTIFACT_ALTERED"
    else:
        where, what = place / difference[1], f"is {difference[0]}"
        reason = f"ARTIFACT_FILE_{difference[0].upper()}"
    return DataLoss(
        f"artifact {ref.name!r}: {where} {what}",
        reason=reason,
        field=str(where),
        next_step="Restore the file, or run the phase that made it once more.",
    )


def _recorded_files(home: Path, place: Path, ref: ArtifactRef) -> list[FileEntry] | None:
    """The manifest from when the artifact was made. Inside runs/, only outputs of finished runs pass."""
    parts = place.relative_to(home).parts
    if parts[0] == "imports" and len(parts) == 3:
        return _imported_files(place, ref)
    if parts[0] != "runs":
        return None
    field = f"inputs.{ref.name}.path"
    if len(parts) != 5 or parts[3] != "output":
        raise InvalidInput(
            f"{ref.path} is no output of a run",
            reason="NOT_AN_OUTPUT",
            field=field,
            next_step="Outputs are named runs/<run_id>/<phase>/output/<name>.",
        )
    done = RunDirectory(home, parts[1], parts[2]).done()
    if done is None:
        raise FailedPrecondition(
            f"run {parts[1]!r} of phase {parts[2]!r} is not finished, so {ref.path} is no input",
            reason="INPUT_NOT_FINISHED",
            field=field,
            next_step="Wait for that run to succeed, or resume it.",
        )
    for output in done.outputs:
        if output.path == "/".join(parts) and output.sha256 == ref.sha256:
            return done.files[output.name]
    raise InvalidInput(
        f"the finished run {parts[1]!r} of phase {parts[2]!r} has no output {ref.path} with digest {ref.sha256!r}",
        reason="NOT_AN_OUTPUT",
        field=field,
        next_step="Take path and digest from the run's outputs.",
    )


def _imported_files(place: Path, ref: ArtifactRef) -> list[FileEntry] | None:
    try:
        entries: list[FileEntry] = json.loads((place.parent / IMPORT_RECORD).read_bytes())
        return entries if tree_digest(entries) == ref.sha256 else None
    except (OSError, ValueError):  # it only helps to name the file; the digest decides
        return None
