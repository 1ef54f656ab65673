"""Runs through real phase services: order, failure, resume, cancel, reuse, the queue."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from agentforge.kit.errors import AlreadyExists, FailedPrecondition, InvalidInput, NotFound, Unavailable
from agentforge_gateway.models import State

from .conftest import finished, spec, until, world_with


def test_a_run_hands_outputs_on_and_repeats_itself(place: Path) -> None:
    async def story() -> None:
        async with world_with(place, "echo", "count") as world, world.gateway(listen="") as gateway:
            runs = gateway.parts.runs
            run, created = await runs.start("a", spec(count={"n": 12}))
            assert created
            assert [p.phase for p in run.plan] == ["echo", "count"]
            done = await finished(gateway, "a")
            assert done.state is State.SUCCEEDED, done.error
            assert [p.state for p in done.phases] == [State.SUCCEEDED] * 2
            assert done.phases[1].progress is not None
            assert done.phases[1].progress.done == 12
            assert done.phases[1].measurements[0].name == "count/steps"
            request = json.loads((world.home / "runs/a/count/request.json").read_text())
            assert request["inputs"][0]["sha256"] == done.phases[0].outputs[0].sha256
            assert not (await runs.start("a", spec(count={"n": 12})))[1]
            with pytest.raises(AlreadyExists):
                await runs.start("a", spec(count={"n": 13}))
            with pytest.raises(FailedPrecondition):
                await runs.resume("a")
            assert await gateway.parts.store.get("a") == done
            await runs.start("b", spec(count={"n": 12}))
            await finished(gateway, "b")
            assert world.digest("a") == world.digest("b")

    asyncio.run(story())


def test_plan_names_all_that_is_wrong(place: Path) -> None:
    async def story() -> None:
        async with world_with(place, "echo", "count") as world, world.gateway(listen="") as gateway:
            runs = gateway.parts.runs
            wrong = spec(count={"n": 0, "evry": 3}, echo={"repeat": 1.5})
            fields = {v.field: v for v in (await runs.plan(wrong)).violations}
            assert set(fields) == {"count.n", "count.evry", "echo.repeat"}
            assert "every" in fields["count.evry"].next_step
            with pytest.raises(InvalidInput) as error:
                await runs.start("x", wrong)
            assert len(error.value.violations) == 3
            assert not (world.home / "runs").exists()
            with pytest.raises(NotFound):
                await runs.get("x")
            unknown = (await runs.plan(spec(until="cuont"))).violations
            assert unknown[0].reason == "UNKNOWN_PHASE"
            assert "count" in unknown[0].next_step
            alone = spec().model_copy(update={"from_phase": "count"})
            assert [v.reason for v in (await runs.plan(alone)).violations] == ["MISSING_INPUT"]
            away = (await runs.plan(spec(until="fail"))).violations
            assert [v.reason for v in away] == ["PHASE_UNREACHABLE"]
            assert world.target("fail") in away[0].message
            with pytest.raises(Unavailable):
                await runs.start("x", spec(until="fail"))

    asyncio.run(story())


def test_own_inputs_are_checked_and_taken(place: Path) -> None:
    async def story() -> None:
        async with world_with(place, "echo", "count") as world, world.gateway(listen="") as gateway:
            runs = gateway.parts.runs
            (world.home / "mine").mkdir()
            (world.home / "mine" / "text.txt").write_text("by hand")
            mine = {"name": "text", "kind": "text", "path": "mine"}
            good = type(spec()).model_validate({"from_phase": "count", "until_phase": "count", "inputs": [mine]})
            run, _ = await runs.start("i", good)
            assert len(run.spec.inputs[0].sha256) == 64
            assert (await finished(gateway, "i")).state is State.SUCCEEDED
            assert not (await runs.start("i", good))[1]
            for bad, reason in (
                ({"path": "../etc"}, "PATH_OUTSIDE_VOLUME"),
                ({"path": "not/there"}, "ARTIFACT_NOT_FOUND"),
                ({"sha256": "0" * 64}, "ARTIFACT_ALTERED"),
                ({"kind": "model"}, "WRONG_KIND"),
            ):
                asked = good.model_dump() | {"inputs": [mine | bad]}
                violations = (await runs.plan(type(good).model_validate(asked))).violations
                assert reason in [v.reason for v in violations], violations
                assert violations[0].field.startswith("inputs"), violations

    asyncio.run(story())


def test_failed_run_is_resumed_where_it_failed(place: Path) -> None:
    async def story() -> None:
        async with world_with(place, "echo", "count", "fail") as world, world.gateway(listen="") as gateway:
            runs = gateway.parts.runs
            await runs.start("f", spec(until="fail", count={"n": 3}, fail={"mode": "error"}))
            failed = await finished(gateway, "f")
            assert failed.state is State.FAILED
            assert failed.error is not None
            assert (failed.error.reason, failed.error.field) == ("TOO_SMALL", "fail.layer.0")
            assert [p.state for p in failed.phases] == [State.SUCCEEDED, State.SUCCEEDED, State.FAILED]
            attempts = [p.attempt for p in failed.phases]
            assert (await runs.resume("f")).state is State.QUEUED
            again = await finished(gateway, "f")
            assert again.state is State.FAILED
            assert [p.attempt for p in again.phases] == [*attempts[:2], attempts[2] + 1]

    asyncio.run(story())


def test_cancel_reaches_the_worker_and_resume_goes_on(place: Path) -> None:
    async def story() -> None:
        async with world_with(place, "echo", "count") as world, world.gateway(listen="") as gateway:
            runs = gateway.parts.runs
            slow = spec(count={"n": 40, "every": 5, "step_s": 0.05})
            await runs.start("c", slow)
            await until(gateway, "c", lambda r: r.phases[1].progress and r.phases[1].progress.done >= 3)
            await runs.cancel("c", "enough")
            stopped = await finished(gateway, "c")
            assert stopped.state is State.CANCELLED
            assert stopped.phases[1].state is State.CANCELLED
            assert (await runs.cancel("c")).state is State.CANCELLED
            await runs.resume("c")
            done = await finished(gateway, "c")
            assert done.state is State.SUCCEEDED, done.error
            assert done.phases[1].attempt == 2
            await runs.start("d", slow.model_copy(update={"config": {"count": {"n": 40, "every": 5}}}))
            await finished(gateway, "d")
            assert world.digest("c") == world.digest("d")

    asyncio.run(story())


def test_reuse_and_what_forbids_it(place: Path) -> None:
    async def story() -> None:
        async with world_with(place, "echo", "count") as world, world.gateway(listen="") as gateway:
            runs = gateway.parts.runs
            await runs.start("r1", spec(no_reuse=False, count={"n": 4}))
            first = await finished(gateway, "r1")
            await runs.start("r2", spec(no_reuse=False, count={"n": 5}))
            second = await finished(gateway, "r2")
            assert [p.state for p in second.phases] == [State.REUSED, State.SUCCEEDED]
            assert second.phases[0].reused_from == "r1"
            assert second.phases[0].outputs == first.phases[0].outputs
            assert second.phases[0].measurements == first.phases[0].measurements
            await runs.start("r3", spec(count={"n": 4}))
            assert [p.state for p in (await finished(gateway, "r3")).phases] == [State.SUCCEEDED] * 2
            # An output that was altered since is not reused, and the log says why.
            for name in ("r1", "r3"):
                text = world.home / "runs" / name / "count/output/text/text.txt"
                text.chmod(0o644)
                text.write_text("altered")
            await runs.start("r4", spec(no_reuse=False, count={"n": 4}))
            assert [p.state for p in (await finished(gateway, "r4")).phases] == [State.REUSED, State.SUCCEEDED]
            assert "cannot be reused" in (world.home / "runs/r4/pipeline/events.jsonl").read_text()

    asyncio.run(story())


def test_the_queue_holds_what_is_beyond_the_limit(place: Path) -> None:
    async def story() -> None:
        settings = {"listen": "", "max_concurrent_runs": 1}
        async with world_with(place, "echo", "count") as world, world.gateway(**settings) as gateway:
            runs = gateway.parts.runs
            slow = spec(count={"n": 30, "step_s": 0.05})
            await runs.start("q1", slow)
            await until(gateway, "q1", lambda r: r.state is State.RUNNING)
            await runs.start("q2", slow)
            await runs.start("q3", spec(count={"n": 2}))
            await asyncio.sleep(0.3)
            assert (await runs.get("q2")).state is State.QUEUED
            await runs.cancel("q2")  # needs no place
            assert (await finished(gateway, "q2", 5)).state is State.CANCELLED
            assert (await runs.get("q1")).state is State.RUNNING
            assert (await finished(gateway, "q1")).state is State.SUCCEEDED
            assert (await finished(gateway, "q3")).state is State.SUCCEEDED

    asyncio.run(story())


def test_a_service_that_is_away_is_waited_for_within_bounds(place: Path) -> None:
    async def story() -> None:
        async with world_with(place, "echo", "count") as world, world.gateway(listen="") as gateway:
            await gateway.parts.runs.start("w", spec(count={"n": 40, "step_s": 0.03}))
            await until(gateway, "w", lambda r: r.phases[1].state is State.RUNNING)
            await world.down("count")
            await asyncio.sleep(0.3)
            assert (await gateway.parts.runs.get("w")).state is State.RUNNING
            await world.serve("count")
            assert (await finished(gateway, "w")).state is State.SUCCEEDED
            log = (world.home / "runs/w/pipeline/events.jsonl").read_text()
            assert "waiting for it" in log
            assert "count is back" in log
        await asyncio.sleep(0)

    asyncio.run(story())


def test_a_service_that_stays_away_fails_the_run(place: Path) -> None:
    async def story() -> None:
        settings = {"listen": "", "unreachable_timeout_s": 1.0}
        async with world_with(place, "echo", "count") as world, world.gateway(**settings) as gateway:
            runs = gateway.parts.runs
            await runs.start("w", spec(count={"n": 60, "step_s": 0.05}))
            await until(gateway, "w", lambda r: r.phases[1].state is State.RUNNING)
            await world.down("count")
            failed = await finished(gateway, "w")
            assert failed.error is not None
            assert failed.error.reason == "PHASE_UNREACHABLE"
            assert world.target("count") in failed.error.message
            await world.serve("count")
            await runs.resume("w")
            assert (await finished(gateway, "w")).state is State.SUCCEEDED

    asyncio.run(story())
