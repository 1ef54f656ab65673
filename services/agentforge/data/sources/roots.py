"""The user's paths: they exist, and they stay inside the folder that was allowed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from agentforge.kit.errors import InvalidInput, NotFound


def inside(path: Path, root: Path) -> Path:
    """The real path, links followed; refused where it leaves the root."""
    real = (root / path).resolve()
    if not real.is_relative_to(root.resolve()):
        message = f"{path} is outside of {root}"
        step = "Copy the data below it, or start with another data root."
        raise InvalidInput(message, reason="PATH_OUTSIDE_ROOT", field=str(path), next_step=step)
    if not real.exists():
        raise NotFound(f"there is no file {real}", reason="FILE_NOT_FOUND", field=str(path))
    return real


def find_files(paths: Sequence[Path], root: Path, suffixes: Iterable[str]) -> list[Path]:
    """Files as given and all readable files below given folders, sorted; the order is part of the data."""
    known = set(suffixes)
    found: list[Path] = []
    for path in paths:
        real = inside(path, root)
        if real.is_dir():
            inner = [inside(each, root) for each in real.rglob("*") if each.is_file() and each.suffix in known]
            found += sorted(inner)
        else:
            _check_suffix(real, known)
            found.append(real)
    if not found:
        names = ", ".join(map(str, paths)) or "no path"
        step = f"Known formats: {', '.join(sorted(known))}."
        raise InvalidInput(f"nothing to read in {names}", reason="EMPTY_CORPUS", field=names, next_step=step)
    return found


def _check_suffix(path: Path, known: set[str]) -> None:
    if path.suffix not in known:
        step = f"Known formats: {', '.join(sorted(known))}."
        message = f"{path.name}: the format {path.suffix or '(none)'} is not known here"
        raise InvalidInput(message, reason="UNKNOWN_FORMAT", field=str(path), next_step=step)
