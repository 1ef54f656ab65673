"""`--out DIR`: the outputs of a run as files of the user's own, all of them or none."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from agentforge.kit.artifacts import ArtifactRef, manifest, tree_digest
from agentforge.kit.errors import DataLoss, FailedPrecondition, InvalidInput
from agentforge.kit.paths import resolve_inside


def check_free(out: Path | None) -> None:
    """Before any work is done: the directory must be new or empty, and its parent must be there."""
    if out is None:
        return
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise InvalidInput(
            f"--out {out} is no directory", reason="OUT_NOT_EMPTY", field="out", next_step="Name another."
        )
    if out.is_dir() and any(out.iterdir()):
        raise InvalidInput(
            f"--out {out} is not empty", reason="OUT_NOT_EMPTY", field="out", next_step="Name a new directory."
        )
    if not out.absolute().parent.is_dir():
        raise InvalidInput(
            f"--out {out}: its parent directory does not exist",
            reason="OUT_NOT_FOUND",
            field="out",
            next_step=f"mkdir -p {out.absolute().parent}",
        )


def deliver(home: Path, outputs: Sequence[ArtifactRef], out: Path) -> dict[str, Path]:
    """Copy each output to out/<name>; the directory appears only when every copy has the right digest."""
    check_free(out)
    target = out.absolute()
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.partial-", dir=target.parent))
    try:
        for ref in outputs:
            _copy(home, ref, partial / ref.name)
        partial.chmod(0o755)  # mkdtemp makes it private
        partial.replace(target)  # also onto an empty directory
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return {ref.name: target / ref.name for ref in outputs}


def _copy(home: Path, ref: ArtifactRef, target: Path) -> None:
    source = resolve_inside(home, ref.path)
    if not source.exists():
        raise FailedPrecondition(
            f"output {ref.name!r} is not on this machine: {source}",
            reason="VOLUME_NOT_SHARED",
            field="out",
            next_step="Set AGENTFORGE_HOME to where this machine mounts the services' volume.",
        )
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target)
    if tree_digest(manifest(target)) != ref.sha256:
        raise DataLoss(
            f"output {ref.name!r} is not what its digest says: {source}",
            field=ref.path,
            next_step="Run the phase again under a new --run-id.",
        )
