import gc
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from agentforge.client import PhaseClient
from agentforge.kit.errors import DataLoss, InvalidInput, Unavailable
from agentforge.kit.serve import chunks
from agentforge.kit.serve.watch import KEPT_CHUNKS
from agentforge.v1 import event_pb2, phase_pb2
from agentforge.v1.phase_pb2_grpc import PhaseServiceStub
from tests.unit.serve.conftest import Service, WrittenRun

Written = Callable[..., WrittenRun]


def sequences(client: PhaseClient, after: int = 0, run_id: str = "r") -> list[int]:
    return [record["sequence"] for record in client.watch(run_id, after)]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def finished(written: Written) -> int:
    """A run of 3,000 events in several chunks; the number of its last event."""
    run = written("r")
    run.state("RUNNING")
    for block in range(30):
        run.say(*[f"{block} {'ü' * 100}" for _ in range(100)])
    run.state("SUCCEEDED")
    assert run.directory.log_path.stat().st_size > 3 * chunks.CHUNK_BYTES
    return run.log.last_sequence


def test_replays_from_the_beginning_the_middle_and_the_end(client: PhaseClient, finished: int) -> None:
    for after in (0, 1, finished // 2, finished - 1, finished):
        assert sequences(client, after) == list(range(after + 1, finished + 1))


def test_behind_the_end_there_is_nothing_to_wait_for(client: PhaseClient, finished: int) -> None:
    for after in (finished + 1, 2**63):
        with pytest.raises(InvalidInput) as caught:
            sequences(client, after)
        assert (caught.value.reason, caught.value.field) == ("SEQUENCE_BEYOND_END", "after_sequence")


def test_says_caught_up_then_goes_live_then_ends(service: Service, written: Written) -> None:
    run = written("r")
    run.say("before")
    with grpc.insecure_channel(service.target) as channel:
        call = PhaseServiceStub(channel).WatchRun(phase_pb2.WatchRunRequest(run_id="r"))
        events = (event for response in call for event in response.events)
        assert next(events).log.message == "before"
        assert next(events).caught_up.sequence == 1
        run.say("after")
        assert next(events).log.message == "after"
        run.state("FAILED")
        assert next(events).state_changed.state == event_pb2.RUN_STATE_FAILED
        assert list(events) == []
        assert call.code() == grpc.StatusCode.OK


def test_only_what_is_there(client: PhaseClient, written: Written) -> None:
    written("r").say("a", "b")
    assert [record["sequence"] for record in client.watch("r", include_live=False)] == [1, 2]


def test_a_run_without_any_event_is_waited_for(client: PhaseClient, written: Written) -> None:
    run = written("r")
    threading.Timer(0.1, run.state, ["CANCELLED"]).start()
    assert sequences(client) == [1]


def test_an_earlier_final_state_is_not_the_end(client: PhaseClient, written: Written) -> None:
    run = written("r")
    for state in ("FAILED", "QUEUED", "RUNNING"):
        run.state(state)
    threading.Timer(0.1, run.state, ["SUCCEEDED"]).start()
    assert sequences(client) == [1, 2, 3, 4]


def test_a_sample_that_looks_like_a_state_is_none(client: PhaseClient, written: Written) -> None:
    run = written("r")
    run.state("RUNNING")
    run.log.append("sample", {"name": "s", "data": {"state_changed": {"state": "RUN_STATE_FAILED"}}}, 1)
    threading.Timer(0.1, run.state, ["SUCCEEDED"]).start()
    assert sequences(client) == [1, 2, 3]


def test_a_torn_line_is_not_told(client: PhaseClient, written: Written) -> None:
    run = written("r")
    run.say("whole")
    with run.directory.log_path.open("ab") as file:
        file.write(b'{"sequence":2,"ti')
    assert [record["sequence"] for record in client.watch("r", include_live=False)] == [1]


def test_a_damaged_log_is_told_as_such(client: PhaseClient, written: Written) -> None:
    run = written("r")
    run.say("one", "two")
    run.directory.log_path.write_bytes(b"no json\n" * 3)
    with pytest.raises(DataLoss):
        sequences(client)


def test_a_line_longer_than_a_chunk(client: PhaseClient, written: Written) -> None:
    run = written("r")
    run.say("x" * (3 * chunks.CHUNK_BYTES), "short")
    run.state("SUCCEEDED")
    assert [len(record.get("log", {}).get("message", "")) for record in client.watch("r")] == [393_216, 5, 0]


def test_many_watchers_and_a_writer_none_lost_none_doubled(service: Service, written: Written) -> None:
    run = written("r")
    run.say("first")
    got: dict[int, list[int]] = {}

    def watch(number: int) -> None:
        with service.client() as client:
            got[number] = sequences(client, 0 if number % 2 else 1)

    threads = [threading.Thread(target=watch, args=[number]) for number in range(10)]
    for thread in threads:
        thread.start()
    for _ in range(100):
        run.say(*["y" * 50] * 100)
        time.sleep(0.002)
    run.state("SUCCEEDED")
    for thread in threads:
        thread.join(60)
    for number in range(10):
        assert got[number] == list(range(1 if number % 2 else 2, 10_003))


def test_heartbeats_in_silence(serve: Callable[..., Service], written: Written) -> None:
    written("r").say("x")
    service = serve(heartbeat_s=0.05)
    with grpc.insecure_channel(service.target) as channel:
        call = PhaseServiceStub(channel).WatchRun(phase_pb2.WatchRunRequest(run_id="r"))
        events = [next(call).events[0] for _ in range(4)]
        assert [event.WhichOneof("payload") for event in events] == ["log", "caught_up", "heartbeat", "heartbeat"]
        assert events[-1].sequence == 0
        call.cancel()


def test_a_client_that_vanishes_leaves_nothing_behind(service: Service, written: Written) -> None:
    written("r").say("x")
    before = service.tasks()
    channel = grpc.insecure_channel(service.target)
    calls = [PhaseServiceStub(channel).WatchRun(phase_pb2.WatchRunRequest(run_id="r")) for _ in range(5)]
    for call in calls:
        next(call)
    assert service.server.watchers == 5
    calls[0].cancel()
    channel.close()  # without a word for the others
    until(lambda: service.server.watchers == 0 and service.tasks() <= before)


@pytest.mark.slow
def test_a_slow_watcher_takes_no_memory(service: Service, written: Written) -> None:
    run = written("r")
    run.say("first")
    with grpc.insecure_channel(service.target) as channel:
        call = PhaseServiceStub(channel).WatchRun(phase_pb2.WatchRunRequest(run_id="r"))
        assert next(call).events[0].sequence == 1  # and now it reads no more
        with service.client() as other:
            live = other.watch("r")  # so that the tail runs through the whole log
            next(live)
            gc.collect()
            tracemalloc.start()
            try:
                for _ in range(100):
                    run.say(*["z" * 500] * 200)
                run.state("SUCCEEDED")
                assert len(list(live)) == 20_001
                gc.collect()
                held, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        written_bytes = run.directory.log_path.stat().st_size
        assert written_bytes > 10_000_000
        # Python's own; what gRPC holds for the slow one is bounded by HTTP/2 flow control.
        assert held < 4 * KEPT_CHUNKS * chunks.CHUNK_BYTES + 1_000_000
        rest = [event.sequence for response in call for event in response.events if event.sequence]
        assert rest == list(range(2, 20_003))


def test_a_stopping_service_ends_streams_with_a_hint(serve: Callable[..., Service], written: Written) -> None:
    run = written("r")
    run.say("x")
    service = serve()
    with service.client(away_s=0.2) as client:
        client.get("r")
        stream = client.watch("r")
        assert next(stream)["sequence"] == 1
        with grpc.insecure_channel(service.target) as channel:
            call = PhaseServiceStub(channel).WatchRun(phase_pb2.WatchRunRequest(run_id="r"))
            next(call)
            began = time.monotonic()
            service.stop()
            assert time.monotonic() - began < 2  # the streams did not have to be cut off
            with pytest.raises(grpc.RpcError, match="the run goes on"):
                list(call)
        with pytest.raises(Unavailable):
            next(stream)


def test_the_log_is_located_by_counting_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert chunks.locate(log, None) == (0, 0)
    log.write_bytes(b"".join(b"%d\n" % number for number in range(1, 500_001)) + b"torn")
    data = log.read_bytes()
    for sequence in (0, 1, 2, 99_999, 500_000):
        end = data.find(b"\n%d\n" % (sequence + 1)) + 1 if sequence < 500_000 else len(data) - 4
        assert chunks.locate(log, sequence) == (end if sequence else 0, sequence)
    assert chunks.locate(log, 600_000) == (len(data) - 4, 500_000)
    assert chunks.locate(log, None) == (len(data) - 4, 500_000)


def test_the_last_state_is_found_far_from_the_end(tmp_path: Path, written: Written) -> None:
    run = written("r")
    run.state("RUNNING")
    run.say(*["w" * 1000] * 3000, "v" * 1_000_000)
    path = run.directory.log_path
    assert chunks.last_state(path, path.stat().st_size) == "RUN_STATE_RUNNING"
    assert chunks.last_state(path, 0) == ""
