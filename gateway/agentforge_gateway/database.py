"""The engine for SQLite and PostgreSQL, and the migrations that run at start."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from agentforge.kit.errors import InvalidInput, Unavailable
from agentforge.kit.files import disk_errors

MIGRATIONS = Path(__file__).parent / "migrations"
_ADVISORY_LOCK = 0x41464F52  # any constant: PostgreSQL's lock for "somebody migrates agentforge"
_BUSY_MS = 30_000
# libpq's: a connection whose other side is gone without a word (a node lost, a cable cut) ends in half a minute.
_SILENCE: dict[str, Any] = {
    "connect_timeout": 10,  # seconds, as the next three's first two
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,  # milliseconds
}
_late: set[asyncio.Task[Any]] = set()
T = TypeVar("T")


def open_engine(url: str) -> AsyncEngine:
    """SQLite in WAL mode (readers never wait for the writer), or PostgreSQL through psycopg 3."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise _bad_url("it cannot be parsed") from None
    if parsed.drivername in ("sqlite", "sqlite+aiosqlite"):
        if not parsed.database or parsed.database == ":memory:":
            raise _bad_url("SQLite needs a file, because several connections share it")
        engine = create_async_engine(parsed.set(drivername="sqlite+aiosqlite"))
        event.listen(engine.sync_engine, "connect", _tune_sqlite)
        return engine
    if parsed.drivername in ("postgresql", "postgresql+psycopg"):
        return create_async_engine(
            parsed.set(drivername="postgresql+psycopg"),
            pool_size=4,
            max_overflow=4,
            pool_pre_ping=True,
            pool_timeout=10,
            connect_args=_SILENCE | {name: value for name, value in parsed.query.items() if name in _SILENCE},
        )
    raise _bad_url(f"{parsed.drivername} is not supported")


async def migrate(engine: AsyncEngine) -> None:
    """Bring the schema to the newest revision; gateways that start at once take turns."""
    try:
        if engine.dialect.name == "sqlite":
            lock = await asyncio.to_thread(_take_file_lock, Path(f"{engine.url.database}.lock"))
            try:
                await _upgrade(engine)
            finally:
                os.close(lock)
        else:
            await _upgrade(engine)
    except DBAPIError as error:
        raise Unavailable(
            f"the database {engine.url.render_as_string(hide_password=True)} cannot be used: {error.orig}",
            reason="DATABASE_UNAVAILABLE",
            field="AGENTFORGE_DATABASE_URL",
            next_step="Start the database or correct AGENTFORGE_DATABASE_URL.",
        ) from error


async def ping(engine: AsyncEngine, timeout_s: float | None = None) -> None:
    async def ask() -> None:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    await answer(engine, ask(), timeout_s)


async def answer(engine: AsyncEngine, work: Coroutine[Any, Any, T], timeout_s: float | None) -> T:
    """What the database says; TimeoutError where PostgreSQL is silent (SQLite has a timeout of its own).

    Cancelled, psycopg asks the server to stop and waits until it agrees, which a server that hangs never does. So
    what is late is cancelled and then left to itself; its connection comes back when the server does.
    """
    task = asyncio.create_task(work)
    limit = timeout_s if engine.dialect.name == "postgresql" else None
    try:
        await asyncio.wait([task], timeout=limit)
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait([task], timeout=limit)
        raise
    finally:
        if not task.done():
            task.cancel()
            _late.add(task)
            task.add_done_callback(_forget)
    if task.done():
        return task.result()
    raise TimeoutError(f"no answer within {timeout_s:g} s")


async def _upgrade(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
        await connection.run_sync(_to_head)


def _forget(task: asyncio.Task[Any]) -> None:
    _late.discard(task)
    if not task.cancelled():
        task.exception()  # nobody else will ask for it


def _to_head(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _take_file_lock(path: Path) -> int:
    """Waits for its turn. The kernel lets go of the lock when the process dies."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _tune_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")  # rows can be rebuilt from the volume: see store.adopt
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _bad_url(why: str) -> InvalidInput:
    return InvalidInput(
        f"the database URL cannot be used: {why}",
        reason="BAD_DATABASE_URL",
        field="AGENTFORGE_DATABASE_URL",
        next_step="Write sqlite:///PATH or postgresql://USER@HOST/NAME, or leave it unset.",
    )
