"""A model from outside: checked, copied once to imports/<digest>/<name>, and never changed."""

from __future__ import annotations

import uuid
from pathlib import Path

from agentforge.kit.artifacts import ArtifactRef, import_tree
from agentforge.kit.files import disk_errors, make_directories, remove_tree
from agentforge_gateway.registry import untar
from agentforge_gateway.registry.admission import check_model

ASIDE = ".unpacked-"


def import_model(home: Path, source: Path, name: str, max_bytes: int = untar.MAX_BYTES) -> ArtifactRef:
    """A Hugging Face directory, an adapter's, or a tar of one. What is refused leaves nothing behind."""
    if not untar.is_tar(source):
        return _checked(home, source, name)
    aside = home / "imports" / f"{ASIDE}{uuid.uuid4().hex}"
    with disk_errors(aside):
        make_directories(aside, home)
        try:
            return _checked(home, untar.unpack(source, aside, max_bytes), name)
        finally:
            remove_tree(aside)


def _checked(home: Path, source: Path, name: str) -> ArtifactRef:
    """The copy is checked once more: the source may have changed meanwhile, the copy cannot."""
    check_model(source)
    ref = import_tree(home, source, name, "model")
    kind = check_model(home / ref.path)
    return ArtifactRef(ref.name, kind, ref.path, ref.sha256, ref.size_bytes)
