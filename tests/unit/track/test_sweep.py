"""Sweeps: what files say, what is refused before anything starts, and that a killed one goes on unchanged."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from agentforge.cli.sweep import SweepOptions, run_sweep
from agentforge.kit.errors import AlreadyExists, ForgeError, InvalidInput
from agentforge.track.sweep.file import SweepFile, read_sweep
from agentforge.track.sweep.schema import check_space
from agentforge.track.sweep.space import Parameter, read_parameters
from agentforge.track.sweep.sweep import Ended, OnValue, Sweep
from tests.phases.count import CountConfig
from tests.unit.cli.program import Program, wait_for_log

pytest.importorskip("optuna", reason="an extra: pip install 'optuna>=4.2'")

FILE = """
name: steps
method: bayes
metric: {name: count/steps, goal: maximize}
trials: 4
seed: 3
parameters:
  n: {min: 2, max: 40}
  every: {values: [2, 5]}
config: {step_s: 0.0}
"""
SCHEMA = CountConfig.model_json_schema()


def written(place: Path, text: str = FILE) -> Path:
    path = place / "file.yaml"
    path.write_text(text)
    return path


def test_w_and_b_distributions() -> None:
    given = {
        "a": {"value": 3},
        "b": {"distribution": "log_uniform", "min": -2, "max": 0},
        "c": {"distribution": "log_uniform_values", "min": "1e-4", "max": 1e-1},
        "d": {"parameters": {"e": {"min": 0.0, "max": 1}}},
        "f": {"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.25},
    }
    a, b, c, d, f = read_parameters(given)
    assert a.choices == (3,)
    assert (round(b.low, 4), b.high, b.log) == (0.1353, 1.0, True)
    assert (c.low, c.log) == (1e-4, True)
    assert (d.name, d.whole) == ("d.e", False)
    assert f.grid() == [0, 0.25, 0.5, 0.75, 1]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ("program: train.py", "program"),
        ("command: [python]", "command"),
        ("method: genetic", "method"),
        ("metric: {goal: maximize}", "metric.name"),
        ("metric: {name: a, target: 3}", "metric.target"),
        ("trials: 0", "trials"),
        ("trials: true", "trials"),
        ("parameters: {n: {distribution: beta}}", "parameters.n.distribution"),
        ("parameters: {n: {min: 3}}", "parameters.n.max"),
        ("parameters: {n: {min: 9, max: 3}}", "parameters.n"),
        ("parameters: {n: {min: .nan, max: 3}}", "parameters.n.min"),
        ("parameters: {n: {values: []}}", "parameters.n.values"),
        ("parameters: {n: {values: [1, 1]}}", "parameters.n.values"),
        ("parameters: {n: {mu: 1}}", "parameters.n.mu"),
        ("parameters: {n: {distribution: log_uniform_values, min: 0, max: 3}}", "parameters.n"),
        ("parameters: {n: {distribution: log_uniform, min: 0, max: 1000}}", "parameters.n"),
        ("parameters: {}", "parameters"),
        ("early_terminate: {type: bandit}", "early_terminate.type"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(tmp_path: Path, change: str, field: str) -> None:
    kept = [line for line in FILE.strip().splitlines() if not line.startswith((change.split(":")[0], "  "))]
    lines = [line for line in kept if line != "parameters:" or change.startswith("parameters")]
    text = "\n".join([line for line in lines if line != "parameters:"] + [change])
    text += "" if change.startswith("parameters") else "\nparameters: {n: {min: 2, max: 3}}"
    with pytest.raises(InvalidInput) as refused:
        read_sweep(written(tmp_path, text))
    assert refused.value.field == field
    assert refused.value.reason == "BAD_SWEEP"


@pytest.mark.parametrize("text", ["[1]", "a: [", "\t", "{? [a]: b}", "!!python/object:os.system x", "a: &a [*a]"])
def test_files_that_are_no_sweeps(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidInput):
        read_sweep(written(tmp_path, text))


@pytest.mark.parametrize(
    ("one", "reason", "word"),
    [
        (Parameter("m", choices=(1,)), "UNKNOWN_FIELD", "m"),
        (Parameter("n", low=0, high=5, whole=True), "INVALID_VALUE", "minimum"),
        (Parameter("n", low=1.0, high=5.0), "INVALID_VALUE", "fractions"),
        (Parameter("n", choices=("many",)), "INVALID_VALUE", "integer"),
        (Parameter("n.deep", choices=(1,)), "UNKNOWN_FIELD", "deep"),
    ],
)
def test_the_space_is_checked_against_the_schema(one: Parameter, reason: str, word: str) -> None:
    with pytest.raises(InvalidInput, match=word) as refused:
        check_space([one], {"count": SCHEMA}, prefixed=False)
    assert refused.value.reason == reason


def test_a_pipelines_names_begin_with_the_phase() -> None:
    check_space([Parameter("count.n", choices=(3,))], {"count": SCHEMA}, prefixed=True)
    with pytest.raises(InvalidInput, match="no phase"):
        check_space([Parameter("n", choices=(3,))], {"count": SCHEMA}, prefixed=True)


class Killed(BaseException):
    pass


def by_hand(sweep: SweepFile, home: Path, *, die_at: int = -1, asked: str = "") -> list[Any]:
    """A sweep whose runs are a formula; the process dies in the run `die_at`."""

    def run_trial(run_id: str, config: dict[str, Any], heard: OnValue) -> Ended:
        if run_id.endswith(f"{die_at:04d}"):
            raise Killed
        value = float(config["n"] * config["every"])
        for step in range(1, 4):
            if heard(step, value * step):
                return Ended("CANCELLED", {}, "pruned")
        return Ended("SUCCEEDED", {"count/steps": value})

    outcome = Sweep(home, sweep, "count", {"asked": asked}).run(run_trial)
    return [(row["state"], row["params"], row["value"]) for row in outcome["trials"]]


@pytest.mark.parametrize("method", ["tpe", "random", "grid"])
def test_a_killed_sweep_tries_the_same_as_one_that_was_not(tmp_path: Path, method: str) -> None:
    sweep = dataclasses.replace(read_sweep(written(tmp_path)), method=method, trials=14)
    whole = by_hand(sweep, tmp_path / "a")
    for die_at in (0, 5, 13):
        with pytest.raises(Killed):
            by_hand(sweep, tmp_path / "b", die_at=die_at)
        with (tmp_path / "b" / "sweeps" / "steps" / "journal.log").open("ab") as journal:
            journal.write(b'{"op_code": 5, "wor')  # as a kill in the middle of a write leaves it
    assert by_hand(sweep, tmp_path / "b") == whole
    assert len(whole) == 14
    other = dataclasses.replace(sweep, seed=4)
    assert method == "grid" or by_hand(other, tmp_path / "c") != whole


def test_bad_trials_are_stopped_on_the_way(tmp_path: Path) -> None:
    text = FILE + "early_terminate: {type: median, min_iter: 1}\n"
    rows = by_hand(dataclasses.replace(read_sweep(written(tmp_path, text)), trials=15), tmp_path)
    states = [state for state, _, _ in rows]
    assert set(states) == {"COMPLETE", "PRUNED"}
    assert all(value is None for state, _, value in rows if state == "PRUNED")


def test_another_question_under_the_same_name(tmp_path: Path) -> None:
    sweep = read_sweep(written(tmp_path))
    by_hand(sweep, tmp_path)
    assert len(by_hand(dataclasses.replace(sweep, trials=5), tmp_path)) == 5
    with pytest.raises(AlreadyExists):
        by_hand(sweep, tmp_path, asked="other inputs")
    with pytest.raises(InvalidInput):
        Sweep(tmp_path, dataclasses.replace(sweep, name="../x"), "count", {})


def test_a_measurement_that_nobody_makes(tmp_path: Path) -> None:
    sweep = dataclasses.replace(read_sweep(written(tmp_path)), metric="count/beauty")
    with pytest.raises(InvalidInput, match="count/beauty") as refused:
        by_hand(sweep, tmp_path)
    assert "count/steps" in refused.value.next_step


@pytest.mark.slow
def test_the_program_killed_and_again(forge: Program, tmp_path: Path) -> None:
    """Trials are ordinary runs; the best file says what was best."""
    file = written(tmp_path, FILE.replace("step_s: 0.0", "step_s: 0.02").replace("trials: 4", "trials: 2"))
    text = tmp_path / "text.txt"
    text.write_text("hi")
    process = forge.start("sweep", "count", file, "--input", text, "--json")
    wait_for_log(forge.home / "runs" / "sweep-steps-0000" / "count" / "events.jsonl", "progress")
    process.kill()
    process.communicate()
    again = forge("sweep", "count", file, "--input", text, "--json")
    assert again.code == 0, again
    assert [row["state"] for row in again.last["trials"]] == ["COMPLETE", "COMPLETE"]
    assert max(row["value"] for row in again.last["trials"]) == again.last["best"]["value"]
    best = Path(again.last["best_file"]).read_text()
    assert f"n: {again.last['best']['params']['n']}" in best
    refused = forge("sweep", "count", written(tmp_path, FILE.replace("  n:", "  m:")), "--input", text, "--json")
    assert refused.code == 2
    assert json.loads(refused.err.splitlines()[-1])["error"]["reason"] == "UNKNOWN_FIELD"


ROAD = """
name: road
method: grid
metric: {name: count/steps, goal: maximize}
parameters:
  count.n: {values: [40, 60]}
  echo.repeat: {values: [1, 2]}
config: {count: {step_s: 0.02, every: 10}}
"""


@pytest.mark.slow
def test_a_whole_road_is_searched_killed_and_gone_on_with(forge: Program, tmp_path: Path) -> None:
    """Each trial goes from echo to count; what two trials have in common is reused; the best can be run again."""
    asked = ("sweep", "pipeline", written(tmp_path, ROAD), "--preset", "tiny", "--until", "count", "--json")
    process = forge.start(*asked)
    wait_for_log(forge.home / "runs" / "sweep-road-0001" / "count" / "events.jsonl", "progress")
    process.kill()
    process.communicate()
    again = forge(*asked)
    assert again.code == 0, again
    rows = again.last["trials"]
    assert [(row["state"], row["value"]) for row in rows] == [
        ("COMPLETE", row["params"]["count.n"]) for row in rows
    ]
    assert len(rows) == 4
    phases = {path.name for path in (forge.home / "runs" / "sweep-road-0003").iterdir()}
    assert not phases & {"fail", "leak"}, "a trial ends at --until"
    assert not (forge.home / "runs" / "sweep-road-0003" / "echo").exists(), "the same echo is done once"
    best = again.last["best"]
    command = again.last["command"]
    for word in ("--preset tiny", "--until count", "--set count.n=60", "--set count.every=10"):
        assert word in command
    done = forge(*command.split()[1:], "--json")
    assert (done.code, done.last["phases"][-1]["reused_from"]) == (0, best["run_id"]), done
    other = forge(*asked[:-3], "--json")
    assert (other.code, other.error["reason"]) == (2, "SWEEP_EXISTS"), other


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["count", "--until", "count"], "CONFLICTING_OPTIONS"),
        (["pipeline", "--from", "count", "--until", "echo"], "PHASE_ORDER"),
        (["pipeline", "--until", "cuont"], "UNKNOWN_PHASE"),
        (["pipeline", "--until", "echo"], "UNKNOWN_PHASE"),
    ],
)
def test_parts_of_a_road_that_cannot_be(
    args: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last: count is searched, and no trial comes so far."""
    monkeypatch.setenv("AGENTFORGE_HOME", str(tmp_path))
    monkeypatch.setenv("AGENTFORGE_PIPELINE", "tests.phases.pipeline")
    file = written(tmp_path, ROAD)
    options = dict(zip(args[1::2], args[2::2], strict=True))
    asked = SweepOptions(
        args[0], file, None, "tiny", [], "", True, options.get("--from", ""), options.get("--until", "")
    )
    with pytest.raises(ForgeError) as caught:
        run_sweep(asked)
    assert caught.value.reason == reason
    assert not (tmp_path / "sweeps").exists()
