"""What a phase has said, as pictures are drawn from it."""

from __future__ import annotations

from typing import Any

from agentforge_gateway.dash.figures.figure import bars, values
from agentforge_gateway.dash.series import PhaseHistory


def measured(value: float, step: int | None = None) -> dict[str, Any]:
    said = {"name": "p/loss", "value": value, "unit": "nat", "method": "mean", "n": 1, "step": step}
    return {"time": f"2026-01-01T00:00:{step or 0:02}Z", "phase": "p", "measurement": said}


def test_steps_that_a_resumed_run_does_again_stand_once() -> None:
    history = PhaseHistory("p")
    for value, step in ((3.0, 1), (2.0, 2), (1.5, 3), (2.1, 2), (1.4, 3)):
        history.feed(measured(value, step))
    assert [(point.step, point.value) for point in history.series["p/loss"]] == [(1, 3.0), (2, 2.1), (3, 1.4)]


def test_without_steps_every_measurement_stays() -> None:
    history = PhaseHistory("p")
    for value in (3.0, 2.0):
        history.feed(measured(value))
    assert [point.value for point in history.series["p/loss"]] == [3.0, 2.0]


def test_the_log_has_words_of_states_and_levels() -> None:
    history = PhaseHistory("p")
    failed = {"state": "RUN_STATE_FAILED", "reason": "no space"}
    history.feed({"time": "t", "phase": "p", "state_changed": failed})
    history.feed({"time": "t", "phase": "p", "log": {"level": "LEVEL_WARNING", "message": "hm"}})
    assert [line[1:] for line in history.log] == [("state", "failed: no space"), ("warning", "hm")]


def test_a_spread_is_of_samples_unless_its_method_says_that_it_is_the_error_already() -> None:
    history = PhaseHistory("p")
    for name, method, spread in (
        ("p/accuracy", "exact answers", 0.4),
        ("p/kept", "share; spread: standard error", 0.4),
        ("p/size", "counted", None),
    ):
        said = {"name": name, "value": 0.2, "unit": "1", "method": method, "n": 100, "spread": spread}
        history.feed({"time": "t", "phase": "p", "measurement": said})
    errors = {name: points[-1].error for name, points in history.series.items()}
    assert errors == {"p/accuracy": 0.04, "p/kept": 0.4, "p/size": None}
    drawn = bars("now", values(history, "p/(.*)"))
    assert drawn["error_y"]["array"] == [0.04, 0.4, 0.0]
