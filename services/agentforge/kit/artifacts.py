"""Artifacts: described by digest, verified before use, published whole."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agentforge.kit import clock
from agentforge.kit.digests import canonical_json
from agentforge.kit.files import (
    disk_errors,
    fsync_directory,
    fsync_tree,
    make_directories,
    remove_tree,
    usual_modes,
    write_atomic,
)
from agentforge.kit.imports import import_tree
from agentforge.kit.manifest import manifest, tree_digest
from agentforge.kit.measure import Measurement
from agentforge.kit.paths import check_name, resolve_inside
from agentforge.kit.refs import ArtifactRef, DataNote, Done, FileEntry
from agentforge.kit.rundir import RunDirectory
from agentforge.kit.verify import altered, describe, ref_of, verify

__all__ = [
    "ArtifactRef",
    "Done",
    "FileEntry",
    "Publication",
    "describe",
    "import_tree",
    "manifest",
    "publish",
    "tree_digest",
    "verify",
    "write_done",
]
_PARTIAL = ".partial-"


class Publication:
    """An output in the making: files are written below `path`; `ref` is there once it is published."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ref: ArtifactRef | None = None

    @property
    def ref(self) -> ArtifactRef:
        if self._ref is None:
            raise RuntimeError(f"{self.path} is not published yet")
        return self._ref


@contextlib.contextmanager
def publish(run: RunDirectory, name: str, kind: str) -> Iterator[Publication]:
    """Write an output aside; at the end of the block it appears whole under its name, and never changes again."""
    check_name(name, "output")
    final = run.output_path / name
    publication = Publication(run.output_path / f"{_PARTIAL}{name}")
    with disk_errors(publication.path):
        remove_tree(publication.path)  # of an attempt that was killed
        make_directories(publication.path, run.home)
        try:
            yield publication
            entries = manifest(publication.path)
            usual_modes(publication.path)
            fsync_tree(publication.path)
            _replace(publication.path, final)
        except BaseException:
            remove_tree(publication.path)
            raise
    publication._ref = ref_of(run.home, final, name, kind, entries)


def write_done(
    run: RunDirectory,
    outputs: Sequence[ArtifactRef],
    parents: Iterable[ArtifactRef],
    measurements: Iterable[Measurement | Mapping[str, Any]],
    data: Iterable[DataNote] = (),
) -> Done:
    """Close the run: read its outputs once more, and say what they are. What stands beside them is left over
    from an attempt that did not finish, and goes."""
    files: dict[str, list[FileEntry]] = {}
    for ref in outputs:
        place = resolve_inside(run.home, ref.path)
        if place != run.output_path / ref.name or ref.name in files:
            raise ValueError(f"{ref.path} cannot be output {ref.name!r} of {run.path}")
        files[ref.name] = manifest(place)
        if tree_digest(files[ref.name]) != ref.sha256:
            raise altered(place, ref, None, files[ref.name])
    request = run.request()
    numbers = (asdict(m) if isinstance(m, Measurement) else dict(m) for m in measurements)
    done = Done(
        outputs=tuple(outputs),
        files=files,
        parents=tuple(parents),
        measurements=tuple({k: v for k, v in number.items() if v is not None} for number in numbers),
        config_digest=request.config_digest,
        code_digest=request.code_digest,
        time=clock.now(),
        data=tuple(data),
    )
    with disk_errors(run.output_path):
        for entry in run.output_path.iterdir() if run.output_path.is_dir() else ():
            if entry.name not in files:
                remove_tree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    write_atomic(run.done_path, canonical_json(done.to_json()) + b"\n")
    return done


def _replace(source: Path, target: Path) -> None:
    """Rename over an output that an unfinished attempt published; nobody reads those."""
    remove_tree(target)
    source.rename(target)
    fsync_directory(target.parent)
