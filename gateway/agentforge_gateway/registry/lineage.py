"""Where an artifact comes from, to the first ancestor: by the parents' digests in the DONE.json of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field

from agentforge.kit.errors import ForgeError
from agentforge.kit.refs import ArtifactRef
from agentforge.kit.rundir import RunDirectory
from agentforge_gateway.models import Artifact, Model
from agentforge_gateway.registry.records import Origin

MAX_NODES = 2_000


class Node(Model):
    """One artifact. `origin` is absent for what came from outside, and for what no DONE.json vouches for."""

    artifact: Artifact
    origin: Origin | None = None
    registered: list[str] = Field(default_factory=list)
    on_volume: bool = True
    depth: int = 0  # steps back from the asked one, by the longest way


class Data(Model):
    """What a run says that it read: the run, a name, what of it was hashed, how many pieces, their digest."""

    run: str
    name: str
    what: str
    count: int
    sha256: str


class Edge(Model):
    parent: str
    child: str


class Lineage(Model):
    nodes: list[Node]
    edges: list[Edge]
    complete: bool = True


def origin_of(
    home: Path, ref: ArtifactRef
) -> tuple[Origin | None, Sequence[ArtifactRef], Sequence[Mapping[str, object]]]:
    """The run that made it, its inputs and its measurements; nothing where no finished run vouches for it."""
    parts = ref.path.split("/")
    if len(parts) != 5 or parts[0] != "runs" or parts[3] != "output":
        return None, (), ()
    try:
        run = RunDirectory(home, parts[1], parts[2])
        done = run.done()
        if done is None or not any(one.sha256 == ref.sha256 and one.name == parts[4] for one in done.outputs):
            return None, (), ()
        config = dict(run.request().config)
    except ForgeError:
        return None, (), ()
    origin = Origin(
        run_id=parts[1],
        phase=parts[2],
        config_digest=done.config_digest,
        code_digest=done.code_digest,
        time=done.time,
        config=config,
    )
    return origin, done.parents, done.measurements


def trace(home: Path, ref: ArtifactRef, bases: Mapping[str, Sequence[ArtifactRef]] | None = None) -> Lineage:
    """`bases`: digest to what else it descends from (the base of a registered adapter)."""
    nodes: dict[str, Node] = {}
    edges: dict[tuple[str, str], None] = {}
    waiting = [(ref, 0)]
    complete = True
    while waiting:
        one, depth = waiting.pop()
        known = nodes.get(one.sha256)
        if known is not None and known.depth >= depth:
            continue
        if len(nodes) >= MAX_NODES or depth > MAX_NODES:
            complete = False
            continue
        origin, parents, _ = origin_of(home, one)
        nodes[one.sha256] = Node(
            artifact=Artifact(**one.to_json()), origin=origin, on_volume=_is_there(home, one.path), depth=depth
        )
        for parent in (*parents, *(bases or {}).get(one.sha256, ())):
            if parent.sha256 != one.sha256:  # a phase that gives back its input
                edges[parent.sha256, one.sha256] = None
                waiting.append((parent, depth + 1))
    ordered = sorted(nodes.values(), key=lambda node: (node.depth, node.artifact.name, node.artifact.sha256))
    return Lineage(nodes=ordered, edges=[Edge(parent=p, child=c) for p, c in sorted(edges)], complete=complete)


def data_of(home: Path, nodes: Sequence[Node]) -> tuple[list[Data], list[str]]:
    """What the runs noted of the data that they read, and the runs that noted nothing."""
    found: dict[tuple[str, str, str], Data] = {}
    silent: dict[str, None] = {}
    for node in nodes:
        if node.origin is None:
            continue
        run = f"{node.origin.phase}, run {node.origin.run_id}"
        try:
            done = RunDirectory(home, node.origin.run_id, node.origin.phase).done()
        except ForgeError:
            done = None
        if done is None or not done.data:
            silent[run] = None
        for one in done.data if done else ():
            found[run, one["name"], one["what"]] = Data(run=run, **one)
    return [found[key] for key in found], list(silent)


def _is_there(home: Path, path: str) -> bool:
    try:
        return (home / path).exists()
    except (OSError, ValueError):
        return False
