"""Reads and writes of the registry's tables. Writers take turns: what one has checked still holds as it writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import Row, delete, insert, select, text, update
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from agentforge.kit.errors import Unavailable
from agentforge_gateway.database import answer
from agentforge_gateway.registry import aliases
from agentforge_gateway.registry.records import (
    BestBy,
    ModelRecord,
    Promotion,
    Record,
    Tombstone,
    VersionRecord,
)
from agentforge_gateway.registry.tables import model_promotions, model_versions, models
from agentforge_gateway.registry.versions import Version

_TURN = 0x41465247  # any constant: PostgreSQL's lock for "somebody writes into the registry"
T = TypeVar("T")


class Shelf:
    def __init__(self, engine: AsyncEngine, timeout_s: float | None = None) -> None:
        self._engine = engine
        self._timeout_s = timeout_s

    async def read(self, work: Callable[[Desk], Awaitable[T]]) -> T:
        return await self._do(work, writes=False)

    async def write(self, work: Callable[[Desk], Awaitable[T]]) -> T:
        """All of `work` or nothing; no other gateway writes meanwhile."""
        return await self._do(work, writes=True)

    async def _do(self, work: Callable[[Desk], Awaitable[T]], *, writes: bool) -> T:
        async def ask() -> T:
            async with self._turn(writes) as connection:
                return await work(Desk(connection))

        try:
            return await answer(self._engine, ask(), self._timeout_s)
        except (OperationalError, InterfaceError, NoConnection, TimeoutError) as error:
            raise Unavailable(
                f"the database does not answer: {str(error).splitlines()[0]}",
                reason="DATABASE_UNAVAILABLE",
                next_step="Try again in a moment; see /readyz.",
            ) from error

    @asynccontextmanager
    async def _turn(self, writes: bool) -> AsyncIterator[AsyncConnection]:
        async with self._engine.begin() as connection:
            if writes and self._engine.dialect.name == "postgresql":
                await connection.execute(text(f"SELECT pg_advisory_xact_lock({_TURN})"))
            elif writes:  # SQLite's lock is taken by the first statement that may write, even if it finds nothing
                await connection.execute(delete(models).where(models.c.name == ""))
            yield connection


class Desk:
    """One transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def model(self, name: str) -> ModelRecord | None:
        found = await self.models([name])
        return found[0] if found else None

    async def models(self, names: list[str] | None = None) -> list[ModelRecord]:
        """By name, each with its versions (newest first) and aliases."""
        query = select(models).order_by(models.c.name)
        if names is not None:
            query = query.where(models.c.name.in_(names))
        rows = (await self._connection.execute(query)).all()
        return [await self._whole(row) for row in rows]

    async def names(self, after: str, size: int) -> list[str]:
        query = select(models.c.name).where(models.c.name > after).order_by(models.c.name).limit(size)
        return list((await self._connection.execute(query)).scalars())

    async def by_digest(self) -> dict[str, list[VersionRecord]]:
        """Every version that is not deleted."""
        found: dict[str, list[VersionRecord]] = {}
        for model in await self.models():
            for version in model.versions:
                if version.tombstone is None:
                    found.setdefault(version.artifact.sha256, []).append(version)
        return found

    async def logs(self, name: str) -> dict[str, list[Promotion]]:
        query = select(model_promotions).where(model_promotions.c.name == name)
        ordered = query.order_by(model_promotions.c.alias, model_promotions.c.number)
        found: dict[str, list[Promotion]] = {}
        for row in (await self._connection.execute(ordered)).all():
            entry = Promotion(**{field: getattr(row, field) for field in Promotion.model_fields})
            found.setdefault(row.alias, []).append(entry)
        return found

    async def add_model(self, model: ModelRecord) -> None:
        row = {"name": model.name, "description": model.description, "best": None}
        await self._connection.execute(
            insert(models).values(**row, create_time=model.create_time, create_by=model.create_by)
        )

    async def add_version(self, name: str, version: str, record: Record, tags: dict[str, str]) -> None:
        row = {"name": name, "version": version, "sha256": record.artifact.sha256, "tags": tags}
        await self._connection.execute(
            insert(model_versions).values(**row, record=record.model_dump(mode="json"), tombstone=None)
        )

    async def add_promotion(self, name: str, entry: Promotion) -> None:
        await self._connection.execute(insert(model_promotions).values(name=name, **entry.model_dump()))

    async def set_tags(self, name: str, version: str, tags: dict[str, str]) -> None:
        await self._connection.execute(_one(name, version).values(tags=tags))

    async def set_tombstone(self, name: str, version: str, tombstone: Tombstone) -> None:
        await self._connection.execute(_one(name, version).values(tombstone=tombstone.model_dump()))

    async def set_best(self, name: str, best: BestBy | None) -> None:
        value = best.model_dump() if best else None
        await self._connection.execute(update(models).where(models.c.name == name).values(best=value))

    async def _whole(self, row: Row[Any]) -> ModelRecord:
        query = select(model_versions).where(model_versions.c.name == row.name)
        pointed = {alias: aliases.current(log) for alias, log in (await self.logs(row.name)).items()}
        held = {alias: version for alias, version in pointed.items() if version}
        versions = [_version(one, held) for one in (await self._connection.execute(query)).all()]
        return ModelRecord(
            name=row.name,
            description=row.description,
            best=BestBy(**row.best) if row.best else None,
            aliases=held,
            versions=sorted(versions, key=lambda one: Version.parse(one.version), reverse=True),
            create_time=row.create_time,
            create_by=row.create_by,
        )


def _one(name: str, version: str) -> Any:
    return update(model_versions).where(model_versions.c.name == name, model_versions.c.version == version)


def _version(row: Row[Any], held: dict[str, str]) -> VersionRecord:
    return VersionRecord(
        **row.record,
        name=row.name,
        version=row.version,
        tags=row.tags,
        aliases=sorted(alias for alias, version in held.items() if version == row.version),
        tombstone=row.tombstone,
    )
