"""Outputs of finished runs, read again and compared with what the run recorded of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agentforge.kit.errors import ForgeError

if TYPE_CHECKING:
    from agentforge.edge.package.verdict import Verification


def verify_outputs(home: Path, path: Path) -> Verification | None:
    """Of runs/RUN_ID/PHASE, or of one output below it; None where this is neither."""
    from agentforge.edge.package.verdict import Verification
    from agentforge.kit.artifacts import verify
    from agentforge.kit.rundir import RunDirectory

    root, place = home.resolve(), path.resolve()
    parts = place.relative_to(root).parts if place.is_relative_to(root) else ()
    if len(parts) not in (3, 5) or parts[0] != "runs":
        return None
    done = RunDirectory(root, parts[1], parts[2]).done()
    wanted = [ref for ref in done.outputs if len(parts) == 3 or ref.path == "/".join(parts)] if done else []
    if not wanted:
        return None
    found = Verification(str(path), name=f"{parts[2]} of run {parts[1]}")
    for ref in wanted:
        try:
            verify(root, ref)
        except ForgeError as error:
            found.failed_by(ref.name, error)
        else:
            found.ok(ref.name, f"{ref.kind}, {ref.size_bytes:,} bytes, digest {ref.sha256[:16]}…", ref.path)
    return found
