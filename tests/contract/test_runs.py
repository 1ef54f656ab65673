"""A run: started twice, watched from anywhere, cancelled, killed, and found again."""

from __future__ import annotations

import threading
from pathlib import Path

import grpc
import pytest

from agentforge.client import PhaseClient
from agentforge.kit.errors import AlreadyExists, ForgeError, InvalidInput, NotFound
from agentforge.kit.phase import PhaseSpec
from agentforge.kit.refs import ArtifactRef
from agentforge.v1 import event_pb2, phase_pb2
from agentforge.v1.phase_pb2_grpc import PhaseServiceStub
from tests.contract.examples import MAKERS, Example
from tests.contract.examples import example as example_of
from tests.contract.kills import finish, kill_a_worker, killing, outputs, works
from tests.harness import Service

Inputs = list[ArtifactRef]


@pytest.fixture(scope="module")
def asked(client: PhaseClient, spec: PhaseSpec, inputs: Inputs) -> list[phase_pb2.Run]:
    """The whole example, asked for by eight at once: what each of them was told."""
    config, runs = example_of(spec.name), []

    def start() -> None:
        runs.append(client.start("whole", config.config, inputs, preset=config.preset))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return runs


@pytest.fixture(scope="module")
def finished(client: PhaseClient, spec: PhaseSpec, inputs: Inputs, asked: list[phase_pb2.Run]) -> phase_pb2.Run:
    config = example_of(spec.name)
    return client.run("whole", config.config, inputs, preset=config.preset)


def test_it_succeeds_with_what_it_promised(spec: PhaseSpec, home: Path, finished: phase_pb2.Run) -> None:
    assert finished.state == event_pb2.RUN_STATE_SUCCEEDED
    for slot in spec.makes:
        made = [output for output in finished.outputs if output.kind == slot.kind]
        assert len(made) >= slot.min_count
        for output in made:
            assert (home / output.path).exists()
            assert len(output.sha256) == 64
            assert output.size_bytes > 0
    assert all(m.n >= 1 and m.method and m.unit for m in finished.measurements)


def test_the_same_request_is_the_same_run(
    client: PhaseClient, example: Example, inputs: Inputs, finished: phase_pb2.Run
) -> None:
    again = client.start("whole", example.config, inputs, preset=example.preset)
    assert (again.attempt, again.last_sequence) == (finished.attempt, finished.last_sequence)


def test_another_request_under_the_same_id_is_refused(
    client: PhaseClient, example: Example, inputs: Inputs, finished: phase_pb2.Run
) -> None:
    with pytest.raises(AlreadyExists, match="whole"):
        client.start("whole", {**example.config, "seed": 43}, inputs, preset=example.preset)


def test_watching_from_anywhere_gives_each_event_once(client: PhaseClient, finished: phase_pb2.Run) -> None:
    last = finished.last_sequence
    for after in (0, 1, last // 2, last - 1, last):
        logged = [r["sequence"] for r in client.watch("whole", after) if r["sequence"]]
        assert logged == list(range(after + 1, last + 1))


def test_the_stream_says_when_it_has_caught_up_and_ends(
    client: PhaseClient, service: Service, finished: phase_pb2.Run
) -> None:
    with grpc.insecure_channel(service.target) as channel:
        stream = PhaseServiceStub(channel).WatchRun(phase_pb2.WatchRunRequest(run_id="whole"), timeout=30)
        events = [event for response in stream for event in response.events]
    caught_up = [event for event in events if event.HasField("caught_up")]
    assert [event.caught_up.sequence for event in caught_up] == [finished.last_sequence]
    assert events[-2].state_changed.state == event_pb2.RUN_STATE_SUCCEEDED  # CaughtUp is the last word


def test_eight_calls_at_once_made_one_run(asked: list[phase_pb2.Run], finished: phase_pb2.Run) -> None:
    assert {run.run_id for run in asked} == {"whole"}
    assert len(asked) == 8
    assert finished.attempt == 1


def test_cancelled_and_retried_it_makes_the_same_bytes(
    client: PhaseClient, example: Example, inputs: Inputs, finished: phase_pb2.Run
) -> None:
    client.start("cancelled", example.config, inputs, preset=example.preset)
    client.cancel("cancelled", "changed my mind")
    for _ in client.watch("cancelled"):
        pass
    ended = client.get("cancelled")
    assert ended.state in (event_pb2.RUN_STATE_CANCELLED, event_pb2.RUN_STATE_SUCCEEDED)  # it may have been quicker
    assert client.cancel("cancelled").state == ended.state  # once more changes nothing
    again = client.run("cancelled", example.config, inputs, preset=example.preset, retry=True)
    assert outputs(again) == outputs(finished)


def test_killed_workers(
    client: PhaseClient, spec: PhaseSpec, home: Path, example: Example, inputs: Inputs, finished: phase_pb2.Run
) -> None:
    """At random instants, with something to lose: it goes on and ends with the same bytes."""
    over = threading.Event()
    thread, hits = killing(lambda: works(home) and kill_a_worker(home), example.kills, spec.name, over)
    client.start("stormy", example.config, inputs, preset=example.preset)
    thread.start()
    assert outputs(finish(client, "stormy", example, inputs)) == outputs(finished)
    over.set()
    thread.join()
    sequences = [record["sequence"] for record in client.watch("stormy") if record["sequence"]]
    assert sequences == list(range(1, len(sequences) + 1))
    assert hits, "the run was over before anything was killed: make the example longer"


def test_runs_are_listed_newest_first(client: PhaseClient, finished: phase_pb2.Run) -> None:
    listed = list(client.list())
    assert "whole" in [run.run_id for run in listed]
    times = [run.create_time.ToNanoseconds() for run in listed]
    assert times == sorted(times, reverse=True)
    wanted = list(client.list(states=[event_pb2.RUN_STATE_FAILED]))
    assert all(run.state == event_pb2.RUN_STATE_FAILED for run in wanted)


@pytest.mark.parametrize(
    "run_id", ["", "a/b", "..", ".hidden", "-x", "a" * 65, "a" * 10_000, "naïve", "a b", "a\n"]
)
def test_run_ids_that_are_no_names_are_refused(client: PhaseClient, run_id: str) -> None:
    for call in (client.get, client.start, client.cancel):
        with pytest.raises(InvalidInput) as refused:
            call(run_id)
        assert refused.value.field == "run_id"


def test_unknown_runs_are_not_found(client: PhaseClient) -> None:
    for call in (client.get, client.cancel):
        with pytest.raises(NotFound, match="never-made"):
            call("never-made")
    with pytest.raises(NotFound):
        list(client.watch("never-made"))


def test_an_input_that_is_not_what_its_digest_says_is_refused(
    client: PhaseClient, spec: PhaseSpec, home: Path, example: Example, inputs: Inputs
) -> None:
    if not spec.takes:
        return  # nothing can be given to it
    slot = spec.takes[0]
    place = home / "altered"
    place.mkdir()
    MAKERS[slot.kind](place)
    altered = ArtifactRef(slot.name, slot.kind, "altered", "0" * 64)
    others = [given for given in inputs if given.name != slot.name]
    with pytest.raises(ForgeError) as refused:
        client.run("wrong-digest", example.config, [altered, *others], preset=example.preset)
    assert refused.value.grpc_code == "DATA_LOSS" or "DIGEST" in refused.value.reason, refused.value
    assert "altered" in str(refused.value)
