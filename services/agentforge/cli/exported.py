"""An exported model, wherever it lies: its files against the manifest that came with them, and who signed that."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentforge.kit.errors import DataLoss, ForgeError
from agentforge.kit.manifest import SINGLE, first_difference, manifest, tree_digest

if TYPE_CHECKING:
    from agentforge.edge.package.verdict import Verification

MANIFEST, SIGNATURES, CARD = "agentforge.manifest.json", "agentforge.sig", "README.md"
_OURS = frozenset({MANIFEST, SIGNATURES, CARD})  # written by the export: an artifact's own of that name moved aside


def is_exported(directory: Path) -> bool:
    return (directory / MANIFEST).is_file()


def verify_exported(directory: Path, public_key: Path | None) -> Verification:
    from agentforge.edge.package.verdict import Verification

    found = Verification(str(directory), name=directory.resolve().name)
    found.not_verified_here = [f"{CARD}: the registry's card, which no signature covers", "what the model answers"]
    try:
        told = _manifest(directory)
        sha256 = tree_digest([{"path": f["path"], "size": f["size"], "sha256": f["sha256"]} for f in told])
        found.ok("manifest", f"{len(told)} files, digest {sha256[:16]}…", MANIFEST)
        wanted = sorted(
            ({"path": f["as"], "size": f["size"], "sha256": f["sha256"]} for f in told), key=lambda f: f["path"]
        )
        here = [entry for entry in manifest(directory) if entry["path"] not in _OURS]
        if difference := first_difference(wanted, here):  # type: ignore[arg-type]
            raise DataLoss(
                f"{difference[1]} is {difference[0]}",
                reason=f"ARTIFACT_FILE_{difference[0].upper()}",
                field=difference[1],
                next_step="Export the model again.",
            )
        found.ok("files", f"all {len(here)} are what the manifest says")
        _signature(found, directory, sha256, public_key)
    except ForgeError as error:
        found.failed_by("signature" if len(found.checks) == 2 else "files", error)
    return found


def _signature(found: Verification, directory: Path, sha256: str, public_key: Path | None) -> None:
    from agentforge.cli.model_signatures import check

    path = directory / SIGNATURES
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    if public_key is None:
        found.not_checked("signature", f"{len(lines)} there, and no key to check with", "Give --public-key FILE.")
        return
    found.signed_by = check(public_key, sha256, lines)
    found.ok("signature", f"ed25519, key {found.signed_by[:16]}…", SIGNATURES)


def _may_be(path: str, name: str) -> bool:
    """Only names that an export changes may differ from those that were signed: else files could trade places."""
    if path == SINGLE:
        return "/" not in name and name not in _OURS
    if path in _OURS:
        aside = Path(path)
        return re.fullmatch(rf"{re.escape(aside.stem)}(\.phase)+{re.escape(aside.suffix)}", name) is not None
    return name == path


def _manifest(directory: Path) -> list[dict[str, Any]]:
    try:
        told: list[dict[str, Any]] = json.loads((directory / MANIFEST).read_bytes())["files"]
        for one in told:
            path, name, size, sha256 = one["path"], one["as"], one["size"], one["sha256"]
            if not (isinstance(path, str) and isinstance(name, str) and isinstance(sha256, str)):
                raise TypeError("a file without a name or a digest")
            if type(size) is not int or not _may_be(path, name):
                raise ValueError(f"{path!r} cannot be exported as {name!r}")
        if not told or len({one["as"] for one in told}) < len(told):
            raise ValueError("no file, or one name twice")
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        message = f"{MANIFEST} is no manifest of an export: {str(error)[:200]}"
        raise DataLoss(message, reason="BAD_MANIFEST", field=MANIFEST, next_step="Export it again.") from None
    return told
