"""One migration tree and one store, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.ext.asyncio import AsyncEngine

from agentforge.kit.errors import InvalidInput, Unavailable
from agentforge_gateway.database import migrate, open_engine
from agentforge_gateway.models import Artifact, PhaseRun, PipelineSpec, PlannedPhase, Run, State
from agentforge_gateway.store import Store
from agentforge_gateway.tables import metadata
from tests.postgres import ON_BOTH, ON_POSTGRES

from .conftest import finished, spec, world_with


def a_run(name: str, number: int, state: State = State.SUCCEEDED) -> Run:
    time = f"2026-01-01T00:00:{number // 1000:02d}.{number % 1000:06d}Z"
    output = Artifact(name="text", kind="text", path=f"runs/{name}/echo/output/text", sha256="a" * 64)
    phase = PhaseRun(phase="echo", state=State.SUCCEEDED, outputs=[output], attempt=1, end_time=time)
    return Run(
        run_id=name,
        state=state,
        spec=PipelineSpec(config={"echo": {"text": "é\u0000"}}),
        plan=[PlannedPhase(phase="echo")],
        phases=[phase],
        create_time=time,
        update_time=time,
    )


@ON_BOTH
def test_store(database_url: str, tmp_path: Path) -> None:
    url = database_url or f"sqlite:///{tmp_path}/gateway.db"

    async def story() -> None:
        engines = [open_engine(url) for _ in range(3)]
        await asyncio.gather(*(migrate(engine) for engine in engines))  # gateways that start at once
        await migrate(engines[0])
        await _matches_tables(engines[0])
        store = Store(engines[0])
        runs = [a_run(f"s{i:02d}", i // 2, State.FAILED if i % 3 == 0 else State.SUCCEEDED) for i in range(25)]
        for run in runs:
            assert await store.add(run)
        assert not await store.add(runs[0])
        assert await store.get("s07") == runs[7]
        assert await store.get("none") is None
        seen, token = [], ""
        while True:
            page, token = await store.page(7, token)
            seen += [run.run_id for run in page]
            if not token:
                break
        assert seen == [run.run_id for run in reversed(runs)]
        failed, token = await store.page(5, "", [State.FAILED])
        assert {run.state for run in failed} == {State.FAILED}
        with pytest.raises(InvalidInput):
            await store.page(5, token)  # of another listing
        await store.save(runs[3], {"echo": "k" * 64})
        await store.save(runs[3].model_copy(update={"state": State.CANCELLED}))
        assert [p.reused_from for p in await store.reusable("k" * 64, but="x")] == ["s03"]
        assert await store.reusable("k" * 64, but="s03") == []
        assert (await store.count_by_state())["RUN_STATE_CANCELLED"] == 1
        await asyncio.gather(*(Store(engine).save(run) for engine in engines for run in runs))
        for engine in engines:
            await engine.dispose()

    asyncio.run(story())


async def _matches_tables(engine: AsyncEngine) -> None:
    """The migrations end where tables.py says."""
    async with engine.connect() as connection:
        found = await connection.run_sync(lambda sync: compare_metadata(MigrationContext.configure(sync), metadata))
    assert found == []


@ON_POSTGRES
def test_a_run_on_postgresql(place: Path) -> None:
    async def story() -> None:
        async with world_with(place, "echo", "count") as world:
            async with world.gateway(listen="") as gateway:
                await gateway.parts.runs.start("pg", spec(count={"n": 3}))
                assert (await finished(gateway, "pg")).state is State.SUCCEEDED
            assert not (world.home / "gateway.db").exists()

    asyncio.run(story())


@pytest.mark.parametrize("url", ["nonsense", "mysql://x/y", "sqlite://", "sqlite:///:memory:"])
def test_bad_urls(url: str) -> None:
    with pytest.raises(InvalidInput, match="database URL"):
        open_engine(url)


def test_a_database_that_is_away() -> None:
    async def story() -> None:
        engine = open_engine("postgresql://forge:secret@127.0.0.1:1/x")
        with pytest.raises(Unavailable) as error:
            await migrate(engine)
        assert "secret" not in str(error.value)
        await engine.dispose()

    asyncio.run(story())
