import io
import json
from typing import Any

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn

from agentforge.cli.progress import Bars, JsonLines, PlainLines


def event(sequence: int, **payload: Any) -> dict[str, Any]:
    return {"sequence": sequence, "time": "2026-11-21T10:00:00.000000Z", "attempt": 1, "phase": "count", **payload}


def progress(sequence: int, done: int) -> dict[str, Any]:
    return event(sequence, progress={"done": done, "total": 100, "unit": "steps", "message": ""})


EVENTS = [
    event(1, state_changed={"state": "RUN_STATE_RUNNING", "reason": ""}),
    *(progress(n + 1, n) for n in range(1, 100)),
    event(
        101, measurement={"name": "a/loss", "value": 0.5, "unit": "nat", "method": "held out", "n": 3, "step": 7}
    ),
    event(102, measurement={"name": "a/final", "value": 0.25, "unit": "nat", "method": "held out", "n": 3}),
    event(103, log={"level": "LEVEL_WARNING", "message": "two\nlines"}),
    event(104, state_changed={"state": "RUN_STATE_SUCCEEDED", "reason": ""}),
]


def test_plain_lines_are_few_and_keep_the_last_progress(capsys: pytest.CaptureFixture[str]) -> None:
    view = PlainLines()
    for record in EVENTS:
        view.feed(record)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 20
    assert lines[0] == "10:00:00 count        RUNNING"
    assert lines[-2].endswith("99/100 steps")
    assert lines[-1].endswith("SUCCEEDED")
    assert any("a/final = 0.25 nat (held out, n=3)" in line for line in lines)
    assert not any("a/loss" in line for line in lines)
    assert any(line.endswith("warning: two") for line in lines)


def test_a_failure_says_why_and_what_next(capsys: pytest.CaptureFixture[str]) -> None:
    error = {"reason": "X", "message": "it broke", "field": "", "next_step": "Mend it."}
    PlainLines().feed(event(1, state_changed={"state": "RUN_STATE_FAILED", "reason": "", "error": error}))
    text = capsys.readouterr().out
    assert "it broke" in text
    assert "next: Mend it." in text


def test_json_lines_are_the_records_and_no_signs_of_life(capsys: pytest.CaptureFixture[str]) -> None:
    view = JsonLines()
    for record in [*EVENTS, event(0, heartbeat={}), event(0, caught_up={"sequence": 104})]:
        view.feed(record)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == EVENTS


def test_bars_show_what_the_events_say() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    columns = (TextColumn("{task.description} {task.fields[state]} {task.fields[what]}"),)
    with Progress(*columns, console=console, auto_refresh=False) as bars:
        view = Bars(bars)
        for record in EVENTS:
            view.feed(record)
        (task,) = bars.tasks
    assert (task.description, task.completed, task.total) == ("count", 99, 100)
    assert task.fields["state"] == "SUCCEEDED"
