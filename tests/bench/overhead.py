"""What lies between two phases: from the end of one to the next being accepted, without the worker's start."""

from __future__ import annotations

from agentforge.v1 import event_pb2
from tests.bench.record import distribution, record
from tests.bench.system import system

RUNS = 40


def main() -> None:
    gaps, starts = [], []
    with system() as built:
        for _ in range(RUNS):
            events = built.finish(built.submit("count", echo={}, count={"n": 1}))
            done = moment(events, "echo", event_pb2.RUN_STATE_SUCCEEDED)
            accepted = moment(events, "count", event_pb2.RUN_STATE_QUEUED)
            gaps.append(accepted - done)
            starts.append(moment(events, "count", event_pb2.RUN_STATE_RUNNING) - accepted)
    figures = {"seconds_between_phases": distribution(gaps), "seconds_worker_start": distribution(starts)}
    record("gateway_overhead", "<= 0.1 s at p95 beside the worker's start", figures)


def moment(events: list[event_pb2.Event], phase: str, state: event_pb2.RunState.ValueType) -> float:
    """When the phase's own log says that it first came into the state; one clock, one machine."""
    found = next(e for e in events if e.phase == phase and e.source_sequence and e.state_changed.state == state)
    return found.time.ToNanoseconds() / 1e9
