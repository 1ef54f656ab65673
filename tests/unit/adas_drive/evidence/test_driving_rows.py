"""Rows of the experiment that drives, also out of records that were made before some of its results were."""

from typing import Any

import numpy as np

from agentforge.phase7_adas.drive.closed_loop.outcome import Outcome
from agentforge.phase7_adas.drive.closed_loop.summary import results
from agentforge.phase7_adas.drive.scenarios.scenario import Wanted
from agentforge.phase7_adas.experiments import driving

NEWER = ("hazards/", "closed_loop/minimal_risk_without_fault_per_hour")
BESIDE = "closed_loop/caused_collisions_per_hour"
"""Has no row: that of the drives with one says it."""


def told() -> dict[str, dict[str, Any]]:
    goes = Wanted.GOES_ON
    one = Outcome(
        "cut_in", 0, 20.0, 200.0, 0, 0, 1, 0, goes, goes, None, None, 1.5, 0, 0, 0,
        hazard_reactions_ms=[100.0, 300.0], hazards_foreseen=2,
    )  # fmt: skip
    return {each.key: each.told() for each in results([one]) if each.key != BESIDE}


def rows(drive: dict[str, dict[str, Any]]) -> dict[str, float | None]:
    return {row.claim: row.value for row in driving.rows({one.key: drive for one in driving.trials()})}


def test_each_result_of_a_drive_has_a_row() -> None:
    made = rows(told())
    assert len(made) == len(told())
    assert made["it takes over without an injected fault"] == 180.0
    assert made["hazards on the road for which it braked already as they began"] == 0.5
    assert np.isclose(made["a hazard's beginning to the command that brakes, median of the others"] or 0.0, 200.0)


def test_an_older_record_has_the_rows_that_it_can_have() -> None:
    older = {key: one for key, one in told().items() if not key.startswith(NEWER)}
    assert len(rows(older)) == len(older) == len(told()) - 7
