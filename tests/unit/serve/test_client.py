import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from agentforge.client import AsyncPhaseClient, PhaseClient
from agentforge.client.channel import Following
from agentforge.kit import errors
from agentforge.kit.errors import InvalidInput, NotFound, RunCancelled, RunFailed, Unavailable, Violation
from agentforge.kit.refs import ArtifactRef
from agentforge.kit.serve.errors import status_of
from agentforge.v1 import event_pb2, phase_pb2
from tests.unit.serve.conftest import Service, WrittenRun


def test_asyncio_does_the_same(serve: Callable[..., Service]) -> None:
    target = serve().target

    async def use() -> None:
        async with AsyncPhaseClient(target) as client:
            assert (await client.describe()).name == "echo"
            assert (await client.validate({"repeat": 0})).violations
            seen: list[int] = []
            run = await client.run("r", {"text": "a"}, on_event=lambda record: seen.append(record["sequence"]))
            assert seen == list(range(1, run.last_sequence + 1))
            assert [ref.name for ref in await client.results("r")] == ["text"]
            assert [one.run_id async for one in client.list(5)] == ["r"]
            assert [record["sequence"] async for record in client.watch("r", 2, include_live=False)] == seen[2:]
            assert (await client.cancel("r")).state == event_pb2.RUN_STATE_SUCCEEDED
            with pytest.raises(NotFound):
                await client.get("other")
            with pytest.raises(NotFound):
                [record async for record in client.watch("other")]

    asyncio.run(use())


def test_asyncio_tells_how_a_run_ended(serve: Callable[..., Service], home: Path) -> None:
    failing, counting = serve("fail").target, serve("count", listen="127.0.0.1:0").target
    (home / "mine").mkdir()
    (home / "mine" / "text.txt").write_text("x")

    async def use() -> None:
        async with AsyncPhaseClient(failing) as client:
            with pytest.raises(RunFailed) as caught:
                await client.run("r", {"mode": "error"})
            assert caught.value.reason == "TOO_SMALL"
        async with AsyncPhaseClient(counting) as client:
            await client.start("c", {"n": 100, "step_s": 0.1}, [ArtifactRef("text", "text", "mine", "")])
            async for record in client.watch("c"):
                if "progress" in record:
                    await client.cancel("c", "enough")
            with pytest.raises(RunCancelled):
                await client.result("c")

    asyncio.run(use())


def test_an_asyncio_watch_survives_a_restart(
    serve: Callable[..., Service], written: Callable[..., WrittenRun]
) -> None:
    run = written("r")
    run.say("a")
    first = serve()

    async def use() -> None:
        async with AsyncPhaseClient(first.target) as client:
            got = []
            async for record in client.watch("r"):
                got.append(record["sequence"])
                if len(got) == 1:
                    await asyncio.to_thread(first.stop)
                    run.say("b")
                    await asyncio.to_thread(serve)
                    run.state("SUCCEEDED")
            assert got == [1, 2, 3]

    asyncio.run(use())


def test_a_service_that_was_never_there_is_not_waited_for(socket: str) -> None:
    with PhaseClient(socket) as client:
        for call in (client.describe, lambda: list(client.watch("r"))):
            with pytest.raises(Unavailable):
                call()


def test_events_come_once() -> None:
    following = Following("r", 1, True, away_s=1, away_first_s=0)
    events = [event_pb2.Event(sequence=n, log=event_pb2.Log(message=str(n))) for n in (1, 2, 2, 3)]
    unknown = event_pb2.Event(sequence=4)
    heartbeat = event_pb2.Event(heartbeat=event_pb2.Heartbeat())
    response = phase_pb2.WatchRunResponse(events=[*events, heartbeat, unknown])
    assert [record["sequence"] for record in following.take(response)] == [2, 3]
    assert following.request().after_sequence == 4


def test_an_error_that_will_not_pass_is_raised_at_once() -> None:
    following = Following("r", 1, True, away_s=9, away_first_s=9)
    assert following.pause_after(Unavailable("x")) < following.pause_after(Unavailable("x"))
    with pytest.raises(NotFound):
        following.pause_after(NotFound("x"))
    with pytest.raises(Unavailable):
        Following("r", 1, True, away_s=9, away_first_s=0).pause_after(Unavailable("x"))


@pytest.mark.parametrize("text", ["x", "ü", "名", "\0", "😀"])
def test_statuses_stay_below_the_size_of_metadata(text: str) -> None:
    violations = [Violation(text * 1000, text * 1000, "R", text * 1000) for _ in range(100)]
    error = InvalidInput(text * 10_000, field=text * 10_000, next_step=text * 10_000, violations=violations)
    status = status_of(error)
    assert status.ByteSize() * 4 / 3 + 3 * len(status.message.encode()) < 8192


def test_every_error_survives_the_way(serve: Callable[..., Service], monkeypatch: pytest.MonkeyPatch) -> None:
    from agentforge.kit.serve.servicer import PhaseServicer

    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ForgeError)
    ]
    sent: list[errors.ForgeError] = []

    async def refuse(self: PhaseServicer, request: object, context: object) -> None:
        raise sent[-1]

    monkeypatch.setattr(PhaseServicer, "GetRun", refuse)
    with serve().client() as client:
        for kind in kinds:
            violations = [Violation("a.b", "wrong", "WHY", "mend it")]
            sent.append(kind("what – happened", field="f", next_step="then", violations=violations))
            with pytest.raises(errors.ForgeError) as caught:
                client.get("r")
            error = caught.value
            assert type(error) is kind
            assert (error.message, error.reason, error.field, error.next_step) == (
                "what – happened", kind.default_reason, "f", "then",
            )  # fmt: skip
            assert error.violations == tuple(violations)
