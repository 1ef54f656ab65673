"""Reads and writes of access's tables, with the gateway's way to say that a database is away."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from sqlalchemy import Executable, Row
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.ext.asyncio import AsyncEngine

from agentforge.kit.errors import Unavailable
from agentforge_gateway.database import answer

T = TypeVar("T")


class Rows:
    def __init__(self, engine: AsyncEngine, timeout_s: float | None = None) -> None:
        self._engine = engine
        self._timeout_s = timeout_s

    async def read(self, query: Executable) -> Sequence[Row[Any]]:
        async def ask() -> Sequence[Row[Any]]:
            async with self._engine.connect() as connection:
                return (await connection.execute(query)).all()

        return await self._answered(ask())

    async def write(self, statement: Executable) -> None:
        async def ask() -> None:
            async with self._engine.begin() as connection:
                await connection.execute(statement)

        await self._answered(ask())

    async def _answered(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await answer(self._engine, work, self._timeout_s)
        except (OperationalError, InterfaceError, NoConnection, TimeoutError) as error:
            raise Unavailable(
                f"the database does not answer: {str(error).splitlines()[0]}",
                reason="DATABASE_UNAVAILABLE",
                next_step="Try again in a moment; see /readyz.",
            ) from error
