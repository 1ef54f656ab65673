"""Registering: the artifact is found or copied, read again, described from its files, and given a number."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from agentforge.kit import clock
from agentforge.kit.artifacts import ArtifactRef
from agentforge.kit.errors import AlreadyExists, InvalidInput
from agentforge_gateway.models import Artifact, Measurement
from agentforge_gateway.registry import choosing, lineage, sources
from agentforge_gateway.registry.admission import ADAPTER
from agentforge_gateway.registry.cleaning import volume_lock
from agentforge_gateway.registry.facts import facts_of
from agentforge_gateway.registry.records import ModelRecord, Record, Register, VersionRecord
from agentforge_gateway.registry.shelf import Desk, Shelf
from agentforge_gateway.registry.versions import Version, check_model_name, next_version, split_ref
from agentforge_gateway.registry.views import Views
from agentforge_gateway.store import Store


class Registrar:
    def __init__(self, home: Path, shelf: Shelf, store: Store, views: Views) -> None:
        self._home = home
        self._shelf = shelf
        self._store = store
        self._views = views

    async def register(self, name: str, request: Register, by: str) -> tuple[VersionRecord, bool]:
        check_model_name(name)
        if request.version:
            Version.parse(request.version)
        base = await self._base(request.base)
        lock = volume_lock(self._home, alone=False)
        await asyncio.to_thread(lock.__enter__)
        try:
            ref = await self._found(name, request.source)
            record = await asyncio.to_thread(_described, self._home, ref, base, request, by)
            bases = await self._views.bases()
            if base is not None:
                bases = {**bases, ref.sha256: [base.ref]}
            traced = await asyncio.to_thread(lineage.trace, self._home, ref, bases)
            record.ancestors = [node.artifact.sha256 for node in traced.nodes if node.artifact.sha256 != ref.sha256]
            version, created = await self._shelf.write(lambda desk: _added(desk, name, request, record))
        finally:
            lock.__exit__(None, None, None)
        model = await self._shelf.read(lambda desk: desk.model(name))
        assert model is not None
        found = choosing.choose(model, version)
        if created:
            await self._views.write_card(found)
        return found, created

    async def _found(self, name: str, source: str) -> ArtifactRef:
        if not sources.is_run(source):
            return await asyncio.to_thread(sources.from_path, self._home, source, name)
        pipeline = await self._store.get(sources.split_run(source)[0])
        return await asyncio.to_thread(sources.from_run, self._home, source, pipeline)

    async def _base(self, base: str) -> VersionRecord | None:
        if not base:
            return None
        name, which = split_ref(base)
        model = await self._shelf.read(lambda desk: desk.model(name))
        if model is None:
            raise choosing.unknown_model(name)
        return choosing.alive(choosing.choose(model, which))


def _described(home: Path, ref: ArtifactRef, base: VersionRecord | None, request: Register, by: str) -> Record:
    if (ref.kind == ADAPTER) != (base is not None):
        raise InvalidInput(
            f"{ref.path} is an adapter: what is it an adapter of?"
            if ref.kind == ADAPTER
            else f"{ref.path} is a whole {ref.kind}: it has no base",
            reason="ADAPTER_BASE",
            field="base",
            next_step="Register the base model first, and name it." if ref.kind == ADAPTER else "Leave base out.",
        )
    origin, parents, measurements = lineage.origin_of(home, ref)
    several = [*parents, *([base.ref] if base else [])]
    return Record(
        artifact=Artifact(**ref.to_json()),
        facts=facts_of(home / ref.path, ref.kind),
        origin=origin,
        parents=[Artifact(**parent.to_json()) for parent in several],
        base=f"{base.name}:{base.version}" if base else "",
        measurements=[Measurement.model_validate(one) for one in _last(measurements)],
        description=request.description,
        create_time=clock.now(),
        create_by=by,
    )


def _last(measurements: Any) -> list[Any]:
    """The last under each name."""
    return list({one["name"]: one for one in measurements}.values())


async def _added(desk: Desk, name: str, request: Register, record: Record) -> tuple[str, bool]:
    model = await desk.model(name)
    if model is None:
        model = ModelRecord(name=name, create_time=record.create_time, create_by=record.create_by)
        await desk.add_model(model)
    same = [one for one in model.versions if one.artifact.sha256 == record.artifact.sha256 and not one.tombstone]
    known = next((one for one in model.versions if one.version == request.version), None)
    if known is not None and known not in same:
        raise AlreadyExists(
            f"{name}:{request.version} is another artifact" + (", which was deleted" if known.tombstone else ""),
            reason="VERSION_TAKEN",
            field="version",
            next_step="Leave the version out: the next number is taken then. Numbers are never used twice.",
        )
    if known is not None or (same and not request.version):
        return (known or same[0]).version, False
    version = request.version or str(_next(model, record))
    await desk.add_version(name, version, record, dict(request.tags))
    return version, True


def _next(model: ModelRecord, record: Record) -> Version:
    if not model.versions:
        return next_version(None, same_shapes=True, same_config=True)
    last = model.versions[0]
    return next_version(
        Version.parse(last.version),
        same_shapes=last.facts.shapes_digest == record.facts.shapes_digest,
        same_config=_made_by(last) == _made_by(record),
    )


def _made_by(record: Record) -> tuple[str, str]:
    return (record.origin.phase, record.origin.config_digest) if record.origin else ("", "")
