import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from agentforge.client import PhaseClient
from agentforge.kit.errors import (
    AlreadyExists,
    DataLoss,
    ForgeError,
    InvalidInput,
    NotFound,
    RunCancelled,
    RunFailed,
)
from agentforge.kit.records import Record
from agentforge.kit.refs import ArtifactRef
from agentforge.v1 import event_pb2, phase_pb2
from tests.unit.serve.conftest import Service, WrittenRun


def test_describes_itself(client: PhaseClient) -> None:
    about = client.describe()
    assert (about.name, about.version) == ("echo", "1")
    assert [slot.kind for slot in about.makes] == ["text"]
    assert about.config_defaults["text"] == "hello"
    assert about.config_schema["properties"]["repeat"]["minimum"] == 1
    assert "tiny" in about.presets
    assert len(about.code_digest) == 64


def test_runs_to_the_end(client: PhaseClient) -> None:
    events: list[Record] = []
    run = client.run("r1", {"text": "hi", "repeat": 2}, on_event=events.append)
    assert run.state == event_pb2.RUN_STATE_SUCCEEDED
    assert [event["sequence"] for event in events] == list(range(1, run.last_sequence + 1))
    assert run.measurements[0].value == 4
    assert run.config["repeat"] == 2
    (output,) = client.results("r1")
    assert output.path == "runs/r1/echo/output/text"


def test_the_same_request_is_the_same_run(client: PhaseClient) -> None:
    first = client.run("r1", {"text": "a"})
    assert client.start("r1", {"text": "a"}) == first
    with pytest.raises(AlreadyExists) as caught:
        client.start("r1", {"text": "b"})
    assert caught.value.field == "run_id"


def test_starts_at_once_from_many_clients_make_one_run(service: Service) -> None:
    created = []

    def start() -> None:
        import grpc

        from agentforge.v1.phase_pb2_grpc import PhaseServiceStub

        with grpc.insecure_channel(service.target) as channel:
            answer = PhaseServiceStub(channel).StartRun(phase_pb2.StartRunRequest(run_id="r"), timeout=30)
            created.append(answer.created)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(created) == [False] * 7 + [True]
    with service.client() as client:
        assert client.run("r").attempt == 1


@pytest.mark.parametrize(
    ("config", "field", "hint"),
    [
        ({"txt": "a"}, "txt", "Did you mean 'text'"),
        ({"repeat": 0}, "repeat", ""),
        ({"repeat": 1.5}, "repeat", ""),
        ({"repeat": float("nan")}, "repeat", ""),
        ({"text": ["a"]}, "text", ""),
        ({"text": None}, "text", ""),
    ],
)
def test_a_wrong_config_names_the_field(
    client: PhaseClient, config: dict[str, object], field: str, hint: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        client.start("r", config)
    assert caught.value.violations[0].field == field
    assert hint in caught.value.next_step
    (violation,) = client.validate(config).violations
    assert violation.field == field
    with pytest.raises(NotFound):
        client.get("r")


def test_all_that_is_wrong_is_told_at_once(client: PhaseClient) -> None:
    with pytest.raises(InvalidInput) as caught:
        client.start("r", {"repeat": 0, "samples": -1, "seed": "x"})
    assert {v.field for v in caught.value.violations} == {"repeat", "samples", "seed"}


def test_a_preset_stands_under_the_overrides(client: PhaseClient) -> None:
    answer = client.validate({"repeat": 3}, preset="tiny")
    assert not answer.violations
    assert answer.resolved_config["repeat"] == 3
    assert len(answer.config_digest) == 64
    assert answer.config_digest != client.validate({"repeat": 4}, preset="tiny").config_digest
    (violation,) = client.validate(preset="tinny").violations
    assert (violation.field, violation.next_step) == ("preset", "Did you mean 'tiny'?")


@pytest.mark.parametrize(
    "run_id", ["", "a/b", "../x", ".hidden", "x" * 10_000, "ünïcode", "名" * 5000, "a\0b", "-x"]
)
def test_a_wrong_run_id_is_refused_by_every_method(client: PhaseClient, home: Path, run_id: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: client.start(run_id),
        lambda: client.get(run_id),
        lambda: client.cancel(run_id),
        lambda: list(client.watch(run_id)),
    ]
    for call in calls:
        with pytest.raises(InvalidInput) as caught:
            call()
        assert caught.value.field == "run_id"
        assert caught.value.violations[0].field == "run_id"
    assert not (home / "runs").exists()


def test_an_unknown_run_is_not_found(client: PhaseClient) -> None:
    calls: list[Callable[[], object]] = [
        lambda: client.get("r"),
        lambda: client.cancel("r"),
        lambda: list(client.watch("r")),
    ]
    for call in calls:
        with pytest.raises(NotFound):
            call()


def test_inputs_are_digested_and_verified(serve: Callable[..., Service], home: Path) -> None:
    (home / "mine").mkdir(parents=True)
    (home / "mine" / "text.txt").write_text("from me")
    mine = ArtifactRef("text", "text", "mine", "")
    with serve("count").client() as client:
        run = client.run("r", {"n": 1}, [mine])
        assert len(run.inputs[0].sha256) == 64
        assert run.inputs[0].size_bytes == 7
        assert client.start("r", {"n": 1}, [mine]) == run
        (home / "mine" / "text.txt").write_text("altered")
        with pytest.raises(AlreadyExists):
            client.start("r", {"n": 1}, [mine])
        known = ArtifactRef.from_proto(run.inputs[0])
        assert client.start("r", {"n": 1}, [known]) == run  # what was checked then is not checked again
        with pytest.raises(DataLoss):
            client.start("r2", {"n": 1}, [known])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"path": "/etc"}, "PATH_OUTSIDE_VOLUME"),
        ({"path": "../x"}, "PATH_OUTSIDE_VOLUME"),
        ({"path": "link"}, "SYMLINK"),
        ({"path": "missing"}, "ARTIFACT_NOT_FOUND"),
        ({"kind": "model"}, "WRONG_KIND"),
        ({"path": "runs/a/echo/output/text"}, "MISSING_DIGEST"),
        ({"path": "./runs/a/echo/output/text"}, "MISSING_DIGEST"),
        ({"path": "runs/a/echo/output/text", "sha256": "0" * 64}, "INPUT_NOT_FINISHED"),
    ],
)
def test_wrong_inputs_are_refused(
    serve: Callable[..., Service], home: Path, change: dict[str, str], reason: str
) -> None:
    (home / "mine").mkdir(parents=True)
    (home / "mine" / "text.txt").write_text("from me")
    (home / "link").symlink_to("mine")
    ref = dataclasses.replace(ArtifactRef("text", "text", "mine", ""), **change)
    with serve("count").client() as client:
        with pytest.raises(ForgeError) as caught:
            client.start("r", {"n": 1}, [ref])
        assert caught.value.reason == reason
        assert caught.value.field.startswith("inputs.") or reason == "ARTIFACT_NOT_FOUND"
        violation = client.validate({"n": 1}, inputs=[ref], check_inputs=True).violations[0]
        assert violation.reason == reason
        (missing,) = client.validate({"n": 1}, check_inputs=True).violations
        assert missing.reason == "MISSING_ARTIFACT"
        assert not client.validate({"n": 1}).violations
    assert not (home / "runs" / "r").exists()


def test_pages_of_runs_newest_first(client: PhaseClient, written: Callable[..., WrittenRun]) -> None:
    for number in range(5):
        written(f"r{number}").state("SUCCEEDED")
    assert [run.run_id for run in client.list()] == ["r4", "r3", "r2", "r1", "r0"]
    assert [run.run_id for run in client.list(3)] == ["r4", "r3", "r2"]
    page = client._call(client._stub.ListRuns, phase_pb2.ListRunsRequest(page_size=2))
    written("later")
    request = phase_pb2.ListRunsRequest(page_size=2, page_token=page.next_page_token)
    assert [run.run_id for run in client._call(client._stub.ListRuns, request).runs] == ["r2", "r1"]
    failed = event_pb2.RUN_STATE_FAILED
    assert list(client.list(states=[failed])) == []
    for bad in (page.next_page_token[:-4], "x", "ü", page.next_page_token.swapcase(), "A" * 10_000):
        with pytest.raises(InvalidInput) as caught:
            client._call(client._stub.ListRuns, phase_pb2.ListRunsRequest(page_token=bad))
        assert caught.value.field == "page_token"
    with pytest.raises(InvalidInput):
        client._call(
            client._stub.ListRuns,
            phase_pb2.ListRunsRequest(page_token=page.next_page_token, states=[failed]),
        )
    for size in (-1, 1001):
        with pytest.raises(InvalidInput):
            client._call(client._stub.ListRuns, phase_pb2.ListRunsRequest(page_size=size))


def test_a_failed_run_tells_why(serve: Callable[..., Service]) -> None:
    with serve("fail").client() as client:
        with pytest.raises(RunFailed) as caught:
            client.run("r", {"mode": "error"})
        assert (caught.value.reason, caught.value.field, caught.value.next_step) == (
            "TOO_SMALL",
            "layer.0",
            "Grow it.",
        )
        attempt = client.get("r").attempt
        with pytest.raises(RunFailed):
            client.run("r", {"mode": "error"}, retry=True)
        assert client.get("r").attempt == attempt + 1


def test_cancel_and_go_on(serve: Callable[..., Service], home: Path) -> None:
    (home / "mine").mkdir(parents=True)
    (home / "mine" / "text.txt").write_text("from me")
    inputs = [ArtifactRef("text", "text", "mine", "")]
    config = {"n": 10, "step_s": 0.05, "every": 1}
    with serve("count").client() as client:
        client.start("r", config, inputs)
        for record in client.watch("r"):
            if "progress" in record:
                client.cancel("r", "enough")
                break
        with pytest.raises(RunCancelled):
            client.run("r", config, inputs)
        assert client.cancel("r").state == event_pb2.RUN_STATE_CANCELLED
        assert client.run("r", config, inputs, retry=True).state == event_pb2.RUN_STATE_SUCCEEDED


def test_a_new_service_takes_up_the_unfinished_runs(serve: Callable[..., Service], home: Path) -> None:
    (home / "mine").mkdir(parents=True)
    (home / "mine" / "text.txt").write_text("from me")
    first = serve("count", interrupt_workers=False)
    with first.client() as client:
        client.start("r", {"n": 20, "step_s": 0.05}, [ArtifactRef("text", "text", "mine", "")])
        watched = client.watch("r")
        next(watched)
        first.stop()
        serve("count")
        sequences = [1] + [record["sequence"] for record in watched]
        run = client.get("r")
        assert run.state == event_pb2.RUN_STATE_SUCCEEDED
        assert run.attempt == 1  # its worker was adopted, not replaced
        assert sequences == list(range(1, run.last_sequence + 1))
