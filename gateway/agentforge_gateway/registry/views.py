"""What is read from the registry and the volume together: lineage, cards, exports, and what can be cleaned up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

from agentforge.kit.artifacts import ArtifactRef
from agentforge.kit.files import disk_errors, make_directories, write_atomic
from agentforge_gateway.registry import checks, choosing, cleaning, lineage, tarring
from agentforge_gateway.registry.card import card
from agentforge_gateway.registry.lineage import Lineage
from agentforge_gateway.registry.picture import svg
from agentforge_gateway.registry.records import VersionRecord
from agentforge_gateway.registry.shelf import Shelf
from agentforge_gateway.store import Store


class Views:
    def __init__(self, home: Path, shelf: Shelf, store: Store) -> None:
        self._home = home
        self._shelf = shelf
        self._store = store

    async def bases(self) -> dict[str, Sequence[ArtifactRef]]:
        """What registered adapters stand on: it is in no DONE.json."""
        held = await self._shelf.read(lambda desk: desk.by_digest())
        by_name = {f"{one.name}:{one.version}": one for several in held.values() for one in several}
        return {
            digest: [by_name[one.base].ref for one in several if one.base in by_name]
            for digest, several in held.items()
        }

    async def lineage(self, version: VersionRecord) -> lineage.Lineage:
        bases = await self.bases()
        traced = await asyncio.to_thread(lineage.trace, self._home, version.ref, bases)
        held = await self._shelf.read(lambda desk: desk.by_digest())
        for node in traced.nodes:
            known = held.get(node.artifact.sha256, ())
            node.registered = sorted(f"{one.name}:{one.version}" for one in known)
        return traced

    async def card(self, version: VersionRecord) -> str:
        return await self._card(version, await self.lineage(version))

    async def write_card(self, version: VersionRecord) -> Path:
        """Beside the registration, never into the artifact: models/<name>/<version>/README.md and lineage.svg."""
        traced = await self.lineage(version)
        place = self._home / "models" / version.name / version.version
        with disk_errors(place):
            make_directories(place, self._home)
        write_atomic(place / "README.md", (await self._card(version, traced)).encode())
        write_atomic(place / "lineage.svg", svg(traced).encode())
        return place

    async def _card(self, version: VersionRecord, traced: Lineage) -> str:
        return card(version, traced, *await asyncio.to_thread(lineage.data_of, self._home, traced.nodes))

    async def export(self, version: VersionRecord) -> Iterator[tuple[str, Iterator[bytes], int]]:
        """The files of an export: the card, then the artifact's, each read once and compared on the way."""
        choosing.alive(version)
        text = await self.card(version)
        entries = await asyncio.to_thread(checks.recorded_files, self._home, version)
        return tarring.members(self._home / version.artifact.path, entries, text, version.tags)

    async def clean_up(self, request: cleaning.CleanUp) -> cleaning.CleanedUp:
        """The list that a dry run gives is the list that is removed, unless something began meanwhile."""
        lock = cleaning.volume_lock(self._home, alone=not request.dry_run)
        await asyncio.to_thread(lock.__enter__)
        try:
            keep = await self._keep()
            items = await asyncio.to_thread(cleaning.find, self._home, request, keep)
            if not request.dry_run:
                await asyncio.to_thread(cleaning.remove, self._home, items)
        finally:
            lock.__exit__(None, None, None)
        total = sum(item.size_bytes for item in items)
        return cleaning.CleanedUp(dry_run=request.dry_run, items=items, total_bytes=total)

    async def _keep(self) -> cleaning.Keep:
        models = await self._shelf.read(lambda desk: desk.models())
        alive = [one for model in models for one in model.versions if one.tombstone is None]
        dead = [one for model in models for one in model.versions if one.tombstone is not None]
        digests = {digest for one in alive for digest in (one.artifact.sha256, *one.ancestors)}
        unfinished = await self._store.ids(unfinished=True)
        for run_id in unfinished:
            run = await self._store.get(run_id)
            if run is not None:
                digests |= {ref.sha256 for ref in run.spec.inputs}
                digests |= {ref.sha256 for phase in run.phases for ref in phase.outputs}
        return cleaning.Keep(
            digests=frozenset(digests),
            deleted=frozenset(one.artifact.sha256 for one in dead) - digests,
            run_ids=frozenset(unfinished),
        )
