"""The registry as one object. REST, gRPC and the dashboard are faces of this."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agentforge.kit import clock
from agentforge.kit.errors import AlreadyExists, FailedPrecondition, NotFound
from agentforge.kit.serve import pages
from agentforge_gateway.access.callers import signature
from agentforge_gateway.links import Links
from agentforge_gateway.registry import aliases, checks, choosing
from agentforge_gateway.registry.records import (
    BestBy,
    Delete,
    Log,
    ModelPage,
    ModelRecord,
    Promote,
    Promotion,
    Register,
    Rollback,
    Tombstone,
    VersionRecord,
)
from agentforge_gateway.registry.registering import Registrar
from agentforge_gateway.registry.shelf import Desk, Shelf
from agentforge_gateway.registry.versions import LATEST, check_alias, check_model_name
from agentforge_gateway.registry.views import Views
from agentforge_gateway.store import Store

_LOCAL = "somebody at this gateway"  # where no token says who


class Registry:
    """`views` reads (cards, lineage, exports, clean-up); this object keeps the names."""

    def __init__(self, home: Path, shelf: Shelf, store: Store, links: Links) -> None:
        self._home = home
        self._shelf = shelf
        self._links = links
        self.views = Views(home, shelf, store)
        self._registrar = Registrar(home, shelf, store, self.views)

    async def page(self, size: int = 0, token: str = "") -> ModelPage:
        """By name."""
        size = pages.check_page_size(size)
        after = pages.read_token(token, []) or ""

        async def work(desk: Desk) -> ModelPage:
            names = await desk.names(after, size + 1)
            more = pages.make_token(names[size - 1], []) if len(names) > size else ""
            return ModelPage(models=await desk.models(names[:size]), next_page_token=more)

        return await self._shelf.read(work)

    async def model(self, name: str) -> ModelRecord:
        check_model_name(name)
        found = await self._shelf.read(lambda desk: desk.model(name))
        if found is None:
            raise choosing.unknown_model(name)
        return found

    async def version(self, name: str, which: str = LATEST, best: BestBy | None = None) -> VersionRecord:
        """By number, alias, `latest` or `best`; `best` overrides what the model states."""
        return choosing.choose(await self.model(name), which, best)

    async def register(self, name: str, request: Register) -> tuple[VersionRecord, bool]:
        """Idempotent: the same artifact under the same name gives the version that it has, and False."""
        return await self._registrar.register(name, request, signature(request.by, _LOCAL))

    async def state_best(self, name: str, best: BestBy | None) -> ModelRecord:
        await self._shelf.write(lambda desk: _stated(desk, name, best))
        return await self.model(name)

    async def tag(self, name: str, which: str, tags: dict[str, str], remove: list[str]) -> VersionRecord:
        async def work(desk: Desk) -> str:
            version = choosing.alive(choosing.choose(await _model(desk, name), which))
            kept = {key: value for key, value in version.tags.items() if key not in remove} | tags
            if len(kept) > 64:
                raise FailedPrecondition(
                    "a version has at most 64 tags", reason="TOO_MANY_TAGS", field="tags", next_step="Remove some."
                )
            await desk.set_tags(name, version.version, kept)
            return version.version

        return await self.version(name, await self._shelf.write(work))

    async def promote(self, name: str, alias: str, request: Promote) -> Promotion:
        check_alias(alias)

        async def work(desk: Desk) -> Promotion:
            model = await _model(desk, name)
            version = choosing.alive(choosing.choose(model, request.version))
            log = (await desk.logs(name)).get(alias, [])
            now = _expect(name, alias, log, request.expected_version)
            if version.version == now:
                raise AlreadyExists(
                    f"{name}:{alias} is at {now} already",
                    reason="ALREADY_THERE",
                    field="version",
                    next_step="Nothing is to be done.",
                )
            entry = _entry(alias, log, now, version.version, request.by, request.why)
            await desk.add_promotion(name, entry)
            return entry

        return await self._shelf.write(work)

    async def rollback(self, name: str, alias: str, request: Rollback) -> Promotion:
        """A new entry that restores what stood before the newest promotion, or before the last `entry`."""
        check_alias(alias)

        async def work(desk: Desk) -> Promotion:
            model = await _model(desk, name)
            log = (await desk.logs(name)).get(alias, [])
            if not log:
                raise _unknown_alias(name, alias)
            now = _expect(name, alias, log, request.expected_version)
            undoes, back_to = aliases.rollback_of(name, alias, log, request.entry)
            choosing.alive(choosing.choose(model, back_to))
            entry = _entry(alias, log, now, back_to, request.by, request.why, undoes)
            await desk.add_promotion(name, entry)
            return entry

        return await self._shelf.write(work)

    async def log(self, name: str, alias: str = "") -> Log:
        """Oldest first; of one alias, or of all by the time of their entries."""
        await self.model(name)
        logs = await self._shelf.read(lambda desk: desk.logs(name))
        if alias and alias not in logs:
            raise _unknown_alias(name, alias)
        chosen = logs[alias] if alias else [entry for log in logs.values() for entry in log]
        return Log(promotions=sorted(chosen, key=lambda entry: (entry.time, entry.alias, entry.number)))

    async def delete(self, name: str, version: str, request: Delete) -> VersionRecord:
        """A tombstone: the number is never used again; the bytes go with the next clean-up."""
        check_model_name(name)

        async def work(desk: Desk) -> None:
            models = {model.name: model for model in await desk.models()}
            if name not in models:
                raise choosing.unknown_model(name)
            found = choosing.alive(choosing.choose(models[name], version))
            logs = {other: await desk.logs(other) for other in models}
            choosing.check_deletable(found, list(models.values()), logs)
            stone = Tombstone(time=clock.now(), who=signature(request.by, _LOCAL), why=request.why)
            await desk.set_tombstone(name, found.version, stone)

        number = (await self.version(name, version)).version
        await self._shelf.write(work)
        return await self.version(name, number)

    async def verify(self, name: str, which: str) -> checks.Verified:
        version = choosing.alive(await self.version(name, which))
        return await asyncio.to_thread(checks.recheck, self._home, version)

    async def start_replay(self, name: str, which: str) -> checks.Replay:
        return await checks.start_replay(self._home, self._links, await self.version(name, which))

    async def replay(self, name: str, which: str, run_id: str) -> checks.Replay:
        version = await self.version(name, which)
        return await checks.look_at_replay(self._home, self._links, version, run_id)


async def _model(desk: Desk, name: str) -> ModelRecord:
    check_model_name(name)
    model = await desk.model(name)
    if model is None:
        raise choosing.unknown_model(name)
    return model


async def _stated(desk: Desk, name: str, best: BestBy | None) -> None:
    await _model(desk, name)
    await desk.set_best(name, best)


def _expect(name: str, alias: str, log: list[Promotion], expected: str | None) -> str | None:
    now = aliases.current(log)
    if expected is not None and expected != (now or ""):
        raise FailedPrecondition(
            f"{name}:{alias} is at {now or 'no version'}, not at {expected or 'none'}: somebody else moved it",
            reason="ALIAS_MOVED",
            field="expected_version",
            next_step="Look at its log, then decide again.",
        )
    return now


def _entry(
    alias: str, log: list[Promotion], now: str | None, to: str, by: str, why: str, undoes: int | None = None
) -> Promotion:
    return Promotion(
        alias=alias,
        number=len(log) + 1,
        from_version=now,
        to_version=to,
        undoes=undoes,
        who=signature(by, _LOCAL),
        why=why,
        time=clock.now(),
    )


def _unknown_alias(name: str, alias: str) -> NotFound:
    return NotFound(
        f"nothing was ever promoted to {name}:{alias}",
        reason="UNKNOWN_ALIAS",
        field="alias",
        next_step=f"See `agentforge models show {name}`.",
    )
