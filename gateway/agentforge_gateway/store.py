"""Reads and writes of the two tables. Only the holder of a run's LOCK saves it; anybody may read."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Row, Table, and_, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from agentforge.kit.errors import Unavailable
from agentforge.kit.serve import pages
from agentforge.v1.event_pb2 import RunState
from agentforge_gateway.database import answer
from agentforge_gateway.models import PhaseRun, PipelineSpec, PlannedPhase, Run, State
from agentforge_gateway.tables import phase_runs, pipelines

Asked = ParamSpec("Asked")
T = TypeVar("T")


def _answered(
    ask: Callable[Concatenate[Store, Asked], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Store, Asked], Coroutine[Any, Any, T]]:
    """A database that is away, or that takes too long, is Unavailable, and nothing waits for it any longer."""

    @functools.wraps(ask)
    async def asked(self: Store, /, *arguments: Asked.args, **named: Asked.kwargs) -> T:
        try:
            return await answer(self._engine, ask(self, *arguments, **named), self._timeout_s)
        except (OperationalError, InterfaceError, NoConnection, TimeoutError) as error:
            raise Unavailable(
                f"the database does not answer: {str(error).splitlines()[0]}",
                reason="DATABASE_UNAVAILABLE",
                next_step="Try again in a moment; see /readyz.",
            ) from error

    return asked


class Store:
    """`timeout_s`: how long PostgreSQL may take for each of these."""

    def __init__(self, engine: AsyncEngine, timeout_s: float | None = None) -> None:
        self._engine = engine
        self._timeout_s = timeout_s
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert

    @_answered
    async def save(self, run: Run, reuse_keys: Mapping[str, str] | None = None) -> None:
        """Insert or replace the run and all its phases. `reuse_keys`: phase to key, where it is known."""
        keys = reuse_keys or {}
        async with self._engine.begin() as connection:
            await self._upsert(connection, pipelines, _pipeline_row(run))
            for position, phase in enumerate(run.phases):
                row = _phase_row(run.run_id, position, phase) | {"reuse_key": keys.get(phase.phase, "")}
                # A key that is not known here does not erase the one in the table.
                kept = () if phase.phase in keys else ("reuse_key",)
                await self._upsert(connection, phase_runs, row, keep=kept)

    @_answered
    async def add(self, run: Run) -> bool:
        """Insert a run that the table lacks; False when it has it."""
        async with self._engine.begin() as connection:
            statement = self._insert(pipelines).values(_pipeline_row(run)).on_conflict_do_nothing()
            if (await connection.execute(statement.returning(pipelines.c.run_id))).first() is None:
                return False
            for position, phase in enumerate(run.phases):
                row = _phase_row(run.run_id, position, phase) | {"reuse_key": ""}
                await connection.execute(self._insert(phase_runs).values(row).on_conflict_do_nothing())
        return True

    @_answered
    async def get(self, run_id: str) -> Run | None:
        async with self._engine.begin() as connection:
            row = (await connection.execute(select(pipelines).where(pipelines.c.run_id == run_id))).first()
            return (await self._whole(connection, [row]))[0] if row else None

    @_answered
    async def page(self, size: int = 0, token: str = "", states: Sequence[State] = ()) -> tuple[list[Run], str]:
        """Newest first, and the token of the next page; empty at the end. New runs do not shift later pages."""
        size = pages.check_page_size(size)
        scope = [RunState.Value(state.value) for state in states]
        after = pages.read_token(token, scope)
        query = select(pipelines).order_by(pipelines.c.create_time.desc(), pipelines.c.run_id.desc())
        if states:
            query = query.where(pipelines.c.state.in_([state.value for state in states]))
        if after:
            time = select(pipelines.c.create_time).where(pipelines.c.run_id == after).scalar_subquery()
            same = and_(pipelines.c.create_time == time, pipelines.c.run_id < after)
            query = query.where(or_(pipelines.c.create_time < time, same))
        async with self._engine.begin() as connection:
            rows = (await connection.execute(query.limit(size + 1))).all()
            runs = await self._whole(connection, rows[:size])
        return runs, pages.make_token(runs[-1].run_id, scope) if len(rows) > size else ""

    @_answered
    async def ids(self, *, unfinished: bool) -> list[str]:
        """Ids of all runs, or of those that no gateway has brought to an end; oldest first."""
        query = select(pipelines.c.run_id).order_by(pipelines.c.create_time, pipelines.c.run_id)
        if unfinished:
            query = query.where(pipelines.c.state.in_([state.value for state in State if not state.final]))
        async with self._engine.begin() as connection:
            return list((await connection.execute(query)).scalars())

    @_answered
    async def reusable(self, key: str, but: str) -> list[PhaseRun]:
        """Phases that succeeded under this key in other runs, newest first; `reused_from` names the run."""
        query = (
            select(phase_runs)
            .where(phase_runs.c.reuse_key == key, phase_runs.c.state == State.SUCCEEDED.value)
            .where(phase_runs.c.run_id != but)
            .order_by(phase_runs.c.end_time.desc(), phase_runs.c.run_id)
            .limit(10)
        )
        async with self._engine.begin() as connection:
            rows = (await connection.execute(query)).all()
        return [_phase(row).model_copy(update={"reused_from": row.run_id}) for row in rows]

    @_answered
    async def count_by_state(self) -> dict[str, int]:
        query = select(pipelines.c.state, func.count()).group_by(pipelines.c.state)
        async with self._engine.begin() as connection:
            return {row[0]: row[1] for row in (await connection.execute(query)).all()}

    async def _upsert(
        self, connection: AsyncConnection, table: Table, row: dict[str, Any], keep: Sequence[str] = ()
    ) -> None:
        key = [column.name for column in table.primary_key]
        statement = self._insert(table).values(row)
        new = {name: statement.excluded[name] for name in row if name not in (*key, *keep)}
        await connection.execute(statement.on_conflict_do_update(index_elements=key, set_=new))

    async def _whole(self, connection: AsyncConnection, rows: Sequence[Row[Any]]) -> list[Run]:
        query = (
            select(phase_runs)
            .where(phase_runs.c.run_id.in_([row.run_id for row in rows]))
            .order_by(phase_runs.c.run_id, phase_runs.c.position)
        )
        phases: dict[str, list[PhaseRun]] = {}
        for row in (await connection.execute(query)).all():
            phases.setdefault(row.run_id, []).append(_phase(row))
        return [_run(row, phases.get(row.run_id, [])) for row in rows]


def _pipeline_row(run: Run) -> dict[str, Any]:
    row = run.model_dump(mode="json", exclude={"phases"})
    return {column.name: row[column.name] for column in pipelines.c}


def _phase_row(run_id: str, position: int, phase: PhaseRun) -> dict[str, Any]:
    return {"run_id": run_id, "position": position, **phase.model_dump(mode="json")}


def _phase(row: Row[Any]) -> PhaseRun:
    return PhaseRun.model_validate({name: getattr(row, name) for name in PhaseRun.model_fields})


def _run(row: Row[Any], phases: list[PhaseRun]) -> Run:
    return Run(
        run_id=row.run_id,
        state=State(row.state),
        spec=PipelineSpec.model_validate(row.spec),
        plan=[PlannedPhase.model_validate(phase) for phase in row.plan],
        phases=phases,
        error=row.error,
        create_time=row.create_time,
        update_time=row.update_time,
        last_sequence=row.last_sequence,
    )
