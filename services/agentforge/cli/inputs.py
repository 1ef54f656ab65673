"""`--input [SLOT=]PATH`: files of the user's as artifacts on the volume."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from agentforge.kit.errors import ForgeError, InvalidInput, NotFound
from agentforge.kit.phase import Slot
from agentforge.kit.refs import ArtifactRef
from agentforge.v1 import phase_pb2


def slots_of(slots: Iterable[phase_pb2.Slot]) -> list[Slot]:
    return [Slot(s.name, s.kind, s.min_count, s.max_count or None, s.description) for s in slots]


def bring_in(home: Path, given: Iterable[str], takes: Sequence[Slot], *, remote: bool) -> list[ArtifactRef]:
    """Each input as a reference. What lies outside the volume is copied onto it, once, under its digest.

    With `remote`, the services are other processes that may see another volume than this one, so nothing is copied.
    """
    inputs: list[ArtifactRef] = []
    for slot_name, place in (one for text in given for one in _spread(home, *_split(text, takes), takes)):
        output = _finished_output(home, place)
        slot = _slot(slot_name, output.kind if output else "", place, takes)
        name = _name(slot, output, place, {ref.name for ref in inputs})
        if output is not None:
            inputs.append(ArtifactRef(name, output.kind, output.path, output.sha256, output.size_bytes))
        elif (relative := _inside(home, place)) is not None:
            inputs.append(ArtifactRef(name, slot.kind, relative, ""))
        else:
            inputs.append(_imported(home, place, name, slot.kind, remote=remote))
    return inputs


def _split(text: str, takes: Sequence[Slot]) -> tuple[str, Path]:
    """The slot's name, if one is written before the path, and the path, which must exist."""
    name, equals, path = text.partition("=")
    named = bool(equals) and name in {slot.name for slot in takes}
    place = _absolute(Path(path if named else text).expanduser())
    if not os.path.lexists(place):
        hint = "Correct the path."
        if equals and not named:
            hint = f"Correct the path; the slots that can stand before '=' are: {_names(takes)}."
        message = f"--input {text}: there is nothing at {place}"
        raise NotFound(message, reason="ARTIFACT_NOT_FOUND", field="input", next_step=hint)
    return (name if named else ""), place


def _spread(home: Path, slot: str, place: Path, takes: Sequence[Slot]) -> list[tuple[str, Path]]:
    """A finished phase (runs/RUN_ID/PHASE) stands for those of its outputs that are taken here."""
    from agentforge.kit.rundir import RunDirectory

    parts = (_inside(home, place) or "").split("/")
    if slot or len(parts) != 3 or parts[0] != "runs":
        return [(slot, place)]
    try:
        done = RunDirectory(home, parts[1], parts[2]).done()
    except ForgeError:
        return [(slot, place)]  # the service says it better, when it looks at the path
    wanted = [ref for ref in (done.outputs if done else ()) if ref.kind in {slot.kind for slot in takes}]
    return [("", _absolute(home) / ref.path) for ref in wanted] or [(slot, place)]


def _slot(name: str, kind: str, place: Path, takes: Sequence[Slot]) -> Slot:
    """The slot that is named, also by the directory itself; the only one that fits; or that must be filled."""
    if not takes:
        raise InvalidInput(
            f"--input {place}: this phase takes no inputs",
            reason="UNEXPECTED_INPUT",
            field="input",
            next_step="Leave --input away.",
        )
    if name:
        return next(slot for slot in takes if slot.name == name)
    fitting = [slot for slot in takes if not kind or slot.kind == kind]
    if kind and not fitting:
        raise InvalidInput(
            f"--input {place} is of kind {kind!r}, which is not taken here",
            reason="WRONG_KIND",
            field="input",
            next_step=f"Taken are: {_names(takes)}.",
        )
    if len({slot.kind for slot in fitting}) == 1:
        return fitting[0]  # the service fills slots of one kind in the order in which inputs were given
    for chosen in ([s for s in fitting if s.name == place.name], [s for s in fitting if s.min_count]):
        if len(chosen) == 1:
            return chosen[0]
    raise InvalidInput(
        f"--input {place}: it is not clear which slot it is for",
        reason="AMBIGUOUS_INPUT",
        field="input",
        next_step=f"Write --input SLOT={place}, where SLOT is one of: {_names(takes)}.",
    )


def _name(slot: Slot, output: ArtifactRef | None, place: Path, taken: set[str]) -> str:
    """The slot's own name where it takes one artifact; else the artifact's, made safe and unique.

    A file keeps its suffix, by which its format is known.
    """
    if slot.max_count == 1:
        wanted = Path(_safe(f"{slot.name}{place.suffix}") if place.is_file() else slot.name)
    else:
        wanted = Path(output.name if output else _safe(place.name))
    name, count = wanted.name, 1
    while name in taken:
        count += 1
        name = f"{wanted.stem}-{count}{wanted.suffix}"
    return name


def _safe(name: str) -> str:
    safe = Path(re.sub(r"[^A-Za-z0-9_.-]", "_", name).lstrip(".-") or "input")
    return f"{safe.stem[:40]}{safe.suffix[:16]}"


def _finished_output(home: Path, place: Path) -> ArtifactRef | None:
    """The output of a finished run that lies at this place, as its DONE.json records it."""
    from agentforge.kit.rundir import RunDirectory

    relative = _inside(home, place)
    parts = relative.split("/") if relative else []
    if len(parts) != 5 or parts[0] != "runs" or parts[3] != "output":
        return None
    try:
        done = RunDirectory(home, parts[1], parts[2]).done()
    except ForgeError:
        return None  # the service says it better, when it looks at the path
    return next((ref for ref in done.outputs if ref.path == relative), None) if done else None


def _inside(home: Path, place: Path) -> str | None:
    """The path relative to the volume, or None when it lies elsewhere."""
    root = _absolute(home)
    return place.relative_to(root).as_posix() if place.is_relative_to(root) and place != root else None


def _absolute(place: Path) -> Path:
    return Path(os.path.abspath(place))  # noqa: PTH100 - without following links, which services refuse


def _imported(home: Path, place: Path, name: str, kind: str, *, remote: bool) -> ArtifactRef:
    if remote:
        raise InvalidInput(
            f"--input {place} lies outside the volume {home}; files are shared through it, not sent",
            reason="PATH_OUTSIDE_VOLUME",
            field="input",
            next_step=f"Copy it below {home}, or set AGENTFORGE_HOME to where this machine mounts the volume.",
        )
    from agentforge.kit.artifacts import import_tree

    return import_tree(home, place, name, kind)


def _names(takes: Sequence[Slot]) -> str:
    return ", ".join(f"{slot.name} ({slot.kind})" for slot in takes) or "none"
