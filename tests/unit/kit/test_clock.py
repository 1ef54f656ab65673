"""A clock that jumps back and forth: sequences, not times, put events in order, and the run comes to its end."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from agentforge.kit import clock, state
from agentforge.kit.events import read_events
from agentforge.kit.state import RunSummary
from agentforge.kit.stopping import StopRequest
from agentforge.kit.worker import work
from tests.unit.kit.workers import asked, some_text


def test_a_run_under_a_clock_that_jumps(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jumps = itertools.cycle(["2031-01-01T00:00:00.000000Z", "1999-12-31T23:59:59.999999Z"])
    monkeypatch.setattr(clock, "now", lambda: next(jumps))
    run = asked(home, "count", "r1", some_text(home), n=30, every=3)
    lock = run.try_lock()
    assert lock is not None
    try:
        assert work(run, StopRequest()) == 0
    finally:
        os.close(lock)
    records, _ = read_events(run.log_path)
    assert [record["sequence"] for record in records] == list(range(1, len(records) + 1))
    assert len({record["time"] for record in records}) == 2
    assert RunSummary.of_log(run.log_path).state == state.SUCCEEDED
    assert run.done() is not None
