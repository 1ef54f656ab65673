"""What was driven already is not driven again, and only what this code drove counts."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from agentforge.kit.errors import InvalidInput
from agentforge.phase7_adas.drive.closed_loop import many
from agentforge.phase7_adas.drive.closed_loop.many import Task, drive_many, outcomes_of, tasks, write_down
from agentforge.phase7_adas.drive.closed_loop.outcome import Outcome
from agentforge.phase7_adas.drive.scenarios.catalogue import SCENARIOS
from agentforge.phase7_adas.drive.scenarios.scenario import Wanted


def outcome(task: Task) -> Outcome:
    goes = Wanted.GOES_ON
    return Outcome(task.scenario, task.seed, 20.0, 200.0, 0, 0, 0, 0, goes, goes, None, None, 1.5, 0, 0, 0)


def test_a_call_goes_on_where_it_was_and_tells_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driven: list[Task] = []

    def one(task: Task, pictures: Path | None) -> Outcome:
        driven.append(task)
        return outcome(task)

    monkeypatch.setattr(many, "one", one)
    wanted = [Task("empty_road", 0), Task("cut_in", 0), Task("cut_in", 7)]
    first = drive_many(wanted[:2], tmp_path)
    file = tmp_path / many.OUTCOMES
    file.write_bytes(file.read_bytes()[:-30])  # as a kill leaves it
    heard: list[Outcome] = []
    assert drive_many(wanted, tmp_path, told=heard.append)[:2] == first
    assert driven == [*wanted[:2], *wanted[1:]]
    assert [one.scenario for one in heard] == ["empty_road", "cut_in", "cut_in"]


@pytest.mark.parametrize("how", ["other code", "no code", "no JSON", "other fields", "a list"])
def test_what_is_not_of_this_code_is_refused_by_its_line(tmp_path: Path, how: str) -> None:
    file = tmp_path / many.OUTCOMES
    write_down(file, outcome(Task("empty_road", 0)))
    good = asdict(outcome(Task("cut_in", 0)))
    line = {
        "other code": json.dumps({"code": "older", **good}),
        "no code": json.dumps(good),
        "no JSON": "{",
        "other fields": json.dumps({"code": many.code(), **good, "luck": 1}),
        "a list": "[1]",
    }[how]
    with file.open("a") as log:
        log.write(line + "\n")
    with pytest.raises(InvalidInput, match="line 2") as caught:
        list(outcomes_of(file))
    assert caught.value.reason == "OTHER_DRIVES"


def test_minutes_are_filled_and_no_variation_comes_twice() -> None:
    chosen = tasks(60.0, 3)
    assert len(set(chosen)) == len(chosen)
    assert not set(chosen) & set(tasks(60.0, 4))
    assert all(task.seed for task in chosen), "seed 0 is the scenario as it is written"


def test_few_minutes_do_not_always_drive_the_same_scenarios() -> None:
    driven = [{task.scenario for task in tasks(20.0, seed)} for seed in range(1, 9)]
    assert set.union(*driven) == set(SCENARIOS)
    assert tasks(20.0, 3) == tasks(20.0, 3)
    round_ = len(SCENARIOS)
    assert {task.scenario for task in tasks(60.0, 3)[:round_]} == set(SCENARIOS), "and each once in a round"
