"""The state of a run, put together from its events."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agentforge.kit import state
from agentforge.kit.events import EventLog
from agentforge.kit.refs import ArtifactRef
from agentforge.kit.rundir import RunDirectory
from agentforge.kit.state import RunSummary
from agentforge.v1 import event_pb2

ERROR = {"reason": "PHASE_CRASHED", "message": "ValueError", "field": "", "next_step": "Read worker.log."}
OUT = ArtifactRef("text", "text", "runs/r1/count/output/text", "a" * 64, 5)


def number(name: str, value: float) -> dict[str, object]:
    return {"name": name, "value": value, "unit": "1", "method": "counted", "n": 1}


def fill(path: Path) -> None:
    with EventLog(path, "count") as log:
        log.append("state_changed", {"state": state.QUEUED, "reason": ""}, 0)
        log.append("state_changed", {"state": state.RUNNING, "reason": ""}, 1)
        log.append("measurement", number("a", 1.0), 1)
        log.append("progress", {"done": 1, "total": 2, "unit": "steps", "message": ""}, 1)
        log.append("state_changed", {"state": state.FAILED, "reason": "crashed", "error": ERROR}, 1)


def test_states_follow_the_contract() -> None:
    names = {value for name, value in vars(state).items() if str(value).startswith("RUN_STATE_")}
    assert names == set(event_pb2.RunState.keys())
    assert {state.SUCCEEDED, state.FAILED, state.CANCELLED, state.REUSED} == state.FINAL


def test_a_failed_run_and_its_retry(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    assert RunSummary.of_log(path) == RunSummary()
    fill(path)
    summary = RunSummary.of_log(path)
    assert (summary.state, summary.final, summary.attempt, summary.last_sequence) == (state.FAILED, True, 1, 5)
    assert summary.error == ERROR
    assert summary.progress is not None
    assert summary.create_time <= summary.update_time
    with EventLog(path, "count") as log:
        more = [
            log.append("state_changed", {"state": state.RUNNING, "reason": ""}, 2),
            log.append("measurement", number("a", 2.0), 2),
            log.append("artifact_produced", {"artifact": OUT.to_json()}, 2),
            log.append("state_changed", {"state": state.SUCCEEDED, "reason": ""}, 2),
        ]
    summary.feed(more)
    summary.feed(more)  # at least once: the same events again change nothing
    assert (summary.state, summary.attempt) == (state.SUCCEEDED, 2)
    assert summary == RunSummary.of_log(path)
    assert summary.measurements["a"]["value"] == 2.0
    assert summary.outputs == {"text": OUT}
    assert RunSummary.of_log(path).error is None


def test_the_message(make_run: Callable[..., RunDirectory]) -> None:
    run = make_run(steps=3, rate=0.5, inputs=(OUT,))
    fresh = RunSummary().to_proto("r1", "count", run.request())
    assert fresh.state == event_pb2.RUN_STATE_QUEUED
    assert fresh.create_time == fresh.update_time
    assert not fresh.HasField("error")
    assert not fresh.HasField("progress")
    fill(run.log_path)
    message = RunSummary.of_log(run.log_path).to_proto("r1", "count", run.request())
    assert message.state == event_pb2.RUN_STATE_FAILED
    assert message.error.reason == "PHASE_CRASHED"
    assert message.config.fields["rate"].number_value == 0.5
    assert [i.sha256 for i in message.inputs] == [OUT.sha256]
    assert [m.value for m in message.measurements] == [1.0]
    assert message.progress.done == 1
    assert (message.run_id, message.phase, message.attempt, message.last_sequence) == ("r1", "count", 1, 5)
