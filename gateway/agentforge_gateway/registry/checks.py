"""Verifying a version: its files against their digests, and a run that is done again against the one that was."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from pydantic import Field

from agentforge.kit.errors import FailedPrecondition, ForgeError
from agentforge.kit.manifest import first_difference, manifest, tree_digest
from agentforge.kit.refs import FileEntry
from agentforge.kit.rundir import RunDirectory
from agentforge.kit.serve.values import to_struct
from agentforge.kit.verify import IMPORT_RECORD, verify
from agentforge.v1 import event_pb2, phase_pb2
from agentforge_gateway.links import Links
from agentforge_gateway.models import ErrorDetail, Model
from agentforge_gateway.registry.records import VersionRecord


class Verified(Model):
    """`ok` is True only where every file was read again and is what was registered."""

    ok: bool
    expected_sha256: str
    files: int = 0
    size_bytes: int = 0
    error: ErrorDetail | None = None


class Replay(Model):
    """An edge of the lineage, done again. `equal` is None until the run is final."""

    run_id: str
    phase: str
    state: str
    equal: bool | None = None
    same_code: bool | None = None
    expected_sha256: str
    found_sha256: str = ""
    first_difference: str = ""
    error: ErrorDetail | None = Field(default=None)


def recheck(home: Path, version: VersionRecord) -> Verified:
    ref = version.ref
    try:
        entries = manifest(verify(home, ref))
    except ForgeError as error:
        said = ErrorDetail(reason=error.reason, message=error.message, field=error.field, next_step=error.next_step)
        return Verified(ok=False, expected_sha256=ref.sha256, error=said)
    size = sum(entry["size"] for entry in entries)
    return Verified(ok=True, expected_sha256=ref.sha256, files=len(entries), size_bytes=size)


def recorded_files(home: Path, version: VersionRecord) -> list[FileEntry]:
    """The manifest as it was when the version was made, for who reads the files again on the way."""
    ref, place = version.ref, home / version.artifact.path
    if version.origin is not None:
        done = RunDirectory(home, version.origin.run_id, version.origin.phase).done()
        files = list(done.files[ref.name]) if done and ref.name in done.files else []
    else:
        files = _import_record(place.parent / IMPORT_RECORD)
    if not files or tree_digest(files) != ref.sha256:
        verify(home, ref)  # says which file, where it can
        return manifest(place)
    return files


def _import_record(path: Path) -> list[FileEntry]:
    try:
        files: list[FileEntry] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return []
    return files


async def start_replay(home: Path, links: Links, version: VersionRecord) -> Replay:
    """The same phase, config and inputs under a new run id. Its service runs its own code, which may be newer."""
    origin = version.origin
    if origin is None:
        raise FailedPrecondition(
            f"{version.name}:{version.version} was brought in: no run here made it, so none can be done again",
            reason="NOT_REPLAYABLE",
            field="version",
            next_step="Verify its digests instead.",
        )
    request = RunDirectory(home, origin.run_id, origin.phase).request()
    run_id = f"replay-{version.artifact.sha256[:12]}-{secrets.token_hex(4)}"
    await links[origin.phase].start(
        phase_pb2.StartRunRequest(
            run_id=run_id, config=to_struct(dict(request.config)), inputs=[ref.to_proto() for ref in request.inputs]
        )
    )
    return await look_at_replay(home, links, version, run_id)


async def look_at_replay(home: Path, links: Links, version: VersionRecord, run_id: str) -> Replay:
    origin = version.origin
    if origin is None or not run_id.startswith(f"replay-{version.artifact.sha256[:12]}-"):
        raise FailedPrecondition(
            f"run {run_id[:64]!r} is no replay of {version.name}:{version.version}",
            reason="NOT_A_REPLAY",
            field="run_id",
            next_step="Start one: POST /v1/models/{name}/versions/{version}:replay.",
        )
    run = await links[origin.phase].get(run_id)
    found = Replay(
        run_id=run_id,
        phase=origin.phase,
        state=event_pb2.RunState.Name(run.state),
        expected_sha256=version.artifact.sha256,
    )
    if run.HasField("error"):
        found.error = ErrorDetail(
            reason=run.error.reason, message=run.error.message, field=run.error.field, next_step=run.error.next_step
        )
    return _compared(home, version, found)


def _compared(home: Path, version: VersionRecord, found: Replay) -> Replay:
    origin = version.origin
    assert origin is not None
    again = RunDirectory(home, found.run_id, origin.phase).done()
    if again is None:
        return found
    made = {ref.name: ref for ref in again.outputs}.get(version.artifact.name)
    found.same_code = again.code_digest == origin.code_digest
    found.found_sha256 = made.sha256 if made else ""
    found.equal = found.found_sha256 == version.artifact.sha256
    first = RunDirectory(home, origin.run_id, origin.phase).done()
    if not found.equal and made and first:
        difference = first_difference(first.files[version.artifact.name], again.files[made.name])
        found.first_difference = " ".join(difference) if difference else ""
    return found
