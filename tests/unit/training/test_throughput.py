"""The rows of `throughput`, on raw results made up for these tests: nothing here is a measurement."""

from __future__ import annotations

from typing import Any

from agentforge.kit.evidence import claims
from agentforge.phase5_training.experiments import throughput


def results(default: float = 90, theirs: float = 110, loss: float = 1.0) -> dict[str, dict[str, Any]]:
    options = {
        "rows": 64, "steps": 42, "on": ["rewinds"], "left_out": [], "parameters": 10,
        "speeds": {"off": [100.0, 200.0], "rewinds": [99.0, 198.0], throughput.DEFAULT: [default, 2 * default]},
    }  # fmt: skip
    ours = {"ours": [100.0], "ternary": [80.0], "nanochat": [90.0], "nanochat, compiled": [theirs]}
    nanochat = {"parameters": {"ours": 10, "nanochat": 10}, "batch": [2, 3], "speeds": ours}
    rank = {"speeds": [10.0], "of_cpu": [20.0], "losses": [[2.0, 1.0]], "plain_losses": [[2.0, 1.0]]}
    ranks = {"1": rank, "2": rank, "4": {**rank, "plain_losses": [[2.0, loss]]}, "cores": 2, "loads": [1.0]}
    kept = {"step": [1.0], "states kept": [1.0], "checkpoints": [10.0], "parameters": 10, "rows": 4, "bytes": 5}
    by_size = {
        f"{part}/{size}": each
        for part, each in (("options", options), ("nanochat", nanochat))
        for size in throughput.SIZES
    }
    return {**by_size, "ranks": ranks, "kept": kept}


def verdicts(**changes: float) -> list[str | None]:
    return [row.verdict for row in claims(throughput.rows(results(**changes)))]


def test_each_round_is_compared_with_itself() -> None:
    first, *_ = claims(throughput.rows(results()))
    assert (first.value, first.n, first.spread) == (0.9, 2, 0.0)
    assert [beside.value for beside in first.beside] == [0.99, 150]


def test_what_is_slow_or_apart_is_not_reached() -> None:
    sizes = len(throughput.SIZES)
    assert set(verdicts()) == {"reached"}
    assert [place for place, each in enumerate(verdicts(default=79)) if each != "reached"] == [*range(sizes)]
    slower = [place for place, each in enumerate(verdicts(theirs=130)) if each != "reached"]
    assert slower == [*range(sizes, 2 * sizes)]
    assert verdicts(loss=1.001).count("not reached") == 1


def test_what_happens_now_and_then_is_a_share_of_the_steps_between() -> None:
    states, checkpoints = claims(throughput.rows(results()))[-2:]
    assert states.value == 1 / 101
    assert checkpoints.value == 10 / 1_010


def test_trials_are_what_the_rows_read() -> None:
    assert {trial.key for trial in throughput.trials()} == set(results())
